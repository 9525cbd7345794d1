"""Render ``docs/reference/commands.md`` from the parser: ``make docs``."""

from pathlib import Path
from typing import Any

import typer

from rapport.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"


def commands(command: Any = None, name: str = "rapport") -> list[tuple[str, Any]]:
    """List every command with its whole name, groups opened."""
    command = typer.main.get_command(app) if command is None else command
    below = getattr(command, "commands", {})
    if not below:
        return [(name, command)]
    return [
        c for word in sorted(below) for c in commands(below[word], f"{name} {word}")
    ]


def rendered() -> str:
    """Return the page."""
    lines = [
        "# Commands",
        "",
        "For everyone at a terminal. Data goes to stdout, words to stderr. Exit codes: 0 done ·"
        " 1 unexpected failure · 2 wrong usage or settings · 3 a gate refused · 4 something"
        " needs a person · 5 another writer holds the warehouse.",
    ]
    for name, command in commands():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option"]
        usage = " ".join([name, *(_argument(a) for a in arguments)])
        lines += ["", f"## {name}", "", f"`{usage}`", "", (command.help or "").strip()]
        if options:
            lines.append("")
            lines += [f"- `{_option(o)}`: {(o.help or '').strip()}" for o in options]
    return "\n".join(lines) + "\n"


def _argument(argument: Any) -> str:
    name = argument.name.upper() + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _option(option: Any) -> str:
    name = max(option.opts, key=len)
    return name if option.is_flag else f"{name} VALUE"


if __name__ == "__main__":
    PAGE.write_text(rendered(), encoding="utf-8")
