"""``docs/reference/settings.md``: every setting, from the typed settings themselves."""

import json
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from conftest import ROOT
from rapport.settings import Settings

PAGE = ROOT / "docs" / "reference" / "settings.md"
_EXAMPLES = {
    "qi": """
```toml
[[qi.process_change]]          # or: rapport change add
chart = "completion.*"         # only * and ? are special
clinic = "North"               # a clinic's name or key, or all; leave it out for every series
from = 2025-07-01              # the first month from this day begins a new segment
note = "Forms are filled in on a tablet"

[[qi.target]]                  # of several that fit, a clinic's own, then the last one
chart = "dropout"
value = 0.2                    # a share from 0 to 1; points; ruptures a scored session
```
""",
}


def rendered() -> str:
    """Return the page."""
    lines = [
        "# Settings",
        "",
        "For whoever runs rapport. They stand in `rapport.toml` of `RAPPORT_HOME`; the"
        " environment comes before the file: `RAPPORT_<SECTION>__<NAME>`, such as"
        " `RAPPORT_QI__SMALL_CELL_MIN=5`. An unknown or invalid setting stops every command"
        " with exit code 2 and names all problems. `rapport doctor` lists what is set where.",
    ]
    for name, field in sorted(Settings.model_fields.items()):
        model = _model(field.annotation)
        if model is None:
            continue
        is_named = field.annotation is not model
        lines += ["", f"## {name}", "", str(model.__doc__).splitlines()[0], ""]
        lines += ["| setting | default | allowed |", "| --- | --- | --- |"]
        lines += [
            row
            for inner, one in model.model_fields.items()
            for row in _rows(f"{name}.<name>" if is_named else name, inner, one)
        ]
        lines += _EXAMPLES.get(name, "").rstrip().splitlines()
    return "\n".join(lines) + "\n"


def _model(annotation: Any) -> type[BaseModel] | None:
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _rows(section: str, name: str, field: FieldInfo) -> list[str]:
    below = _model(field.annotation)
    if below is not None:
        return [
            row
            for inner, one in below.model_fields.items()
            for row in _rows(f"{section}.{name}", inner, one)
        ]
    default = "required" if field.is_required() else _value(field.default)
    said = f"{section}.{field.alias or name}"
    return [f"| `{said}` | {default} | {_allowed(field)} |"]


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"`{json.dumps(value)}`" if isinstance(value, str | bool) else str(value)


def _allowed(field: FieldInfo) -> str:
    found = []
    for rule in field.metadata:
        for sign, words in (
            ("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below"),
            ("min_length", "characters, from"), ("max_length", "to"),
        ):  # fmt: skip
            bound = getattr(rule, sign, None)
            if bound is not None:
                found.append(f"{words} {bound:g}")
    choices = [c for c in _choices(field.annotation) if not isinstance(c, type)]
    if choices:
        found.append(", ".join(map(str, choices)))
    return " ".join(found) or _kind(field.annotation)


def _kind(annotation: Any) -> str:
    kinds = {
        bool: "true, false",
        float: "a number",
        int: "a whole number",
        date: "a date",
    }
    plain = [one for one in (annotation, *get_args(annotation)) if one in kinds]
    return kinds[plain[0]] if plain else "text"


def _choices(annotation: Any) -> list[Any]:
    args = get_args(annotation)
    if getattr(annotation, "__origin__", None) is not None and "Literal" in str(
        annotation.__origin__
    ):
        return list(args)
    return [choice for arg in args for choice in _choices(arg)]


if __name__ == "__main__":
    PAGE.write_text(rendered(), encoding="utf-8")
