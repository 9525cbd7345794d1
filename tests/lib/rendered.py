"""A model's SQL with given tables in place of its refs, for many cases in one query."""

from pathlib import Path
from typing import Any

import jinja2

from conftest import ROOT

PROJECT = ROOT / "dbt_project"


class _Adapter:
    def __init__(self) -> None:
        self.module: Any = None

    def dispatch(self, name: str, package: str) -> Any:
        return getattr(
            self.module, f"duckdb__{name}", None
        ) or getattr(self.module, f"default__{name}")  # fmt: skip


def render(body: str, settings: dict[str, float]) -> str:
    """Render SQL that uses the project's macros; a ref is the table of that name."""
    adapter = _Adapter()
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    environment.globals.update(
        {"adapter": adapter, "return": lambda said: said, "ref": lambda name: name,
         "source": lambda schema, name: f"{schema}.{name}"}
    )  # fmt: skip
    macros = [
        path.read_text("utf-8")
        for path in sorted((PROJECT / "macros").glob("*.sql"))
        if path.name != "setting.sql"
    ]
    settled = "".join(
        f"{{% if name == '{name}' %}}{value!r}{{% endif %}}"
        for name, value in settings.items()
    )
    said = "{% macro setting(name) -%}" + settled + "{%- endmacro %}"
    source = "\n".join([said, *macros])
    adapter.module = environment.from_string(source).module
    return environment.from_string(source + "\n" + body).render()


def model(name: str, settings: dict[str, float]) -> str:
    """Render a model."""
    [path] = Path(PROJECT / "models").rglob(f"{name}.sql")
    return render(path.read_text("utf-8"), settings)
