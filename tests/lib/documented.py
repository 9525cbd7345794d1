"""Run a command as a how-to page gives it, in this process, on a home of the test's."""

import re
import shlex

import pytest
import typer

from conftest import ROOT, Home


def documented(page: str, verb: str, **put: str) -> list[str]:
    """Return the arguments of the page's first command of a verb, with words put in.

    Args:
        page: name of a page of docs/how-to, without its ending.
        verb: how the command begins, ``vault backup`` say.
        put: option (or ``last`` for the last word) -> what stands there in the test.
    """
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text("utf-8")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, flags=re.S))
    (line, *_) = [
        line.strip()
        for line in blocks.splitlines()
        if line.strip().startswith(f"rapport {verb}")
    ]
    words = shlex.split(line)[1:]
    for option, said in put.items():
        place = -1 if option == "last" else words.index(f"--{option}") + 1
        words[place] = said
    return words


def run_here(home: Home, arguments: list[str], patch: pytest.MonkeyPatch) -> None:
    """Run a command; it must end with 0."""
    from rapport.cli import app

    patch.setenv("RAPPORT_HOME", str(home.path))
    typer.main.get_command(app).main(args=arguments, standalone_mode=False)
