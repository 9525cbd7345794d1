"""A model's SQL with given tables in place of its refs, for many cases in one query."""

from functools import cache
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


@cache
def _environment(settings: tuple[tuple[str, float], ...] | None) -> jinja2.Environment:
    """Return the project's macros, read once; ``setting`` is a literal where one is given."""
    adapter = _Adapter()
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    environment.globals.update(
        {"adapter": adapter, "return": lambda said: said, "ref": lambda name: name,
         "source": lambda schema, name: f"{schema}.{name}"}
    )  # fmt: skip
    macros = [
        path.read_text("utf-8")
        for path in sorted((PROJECT / "macros").glob("*.sql"))
        if settings is None or path.name != "setting.sql"
    ]
    if settings is not None:
        settled = "".join(
            f"{{% if name == '{name}' %}}{value!r}{{% endif %}}"
            for name, value in settings
        )
        macros.insert(0, "{% macro setting(name) -%}" + settled + "{%- endmacro %}")
    adapter.module = environment.from_string("\n".join(macros)).module
    environment.globals.update(
        {name: said for name, said in vars(adapter.module).items() if name[0] != "_"}
    )
    return environment


def render(body: str, settings: dict[str, float] | None) -> str:
    """Render SQL that uses the project's macros; a ref is the table of that name.

    Without settings they are read from ``control.setting``, as in a build.
    """
    key = None if settings is None else tuple(sorted(settings.items()))
    return _environment(key).from_string(body).render()


def model(name: str, settings: dict[str, float] | None) -> str:
    """Render a model."""
    [path] = Path(PROJECT / "models").rglob(f"{name}.sql")
    return render(path.read_text("utf-8"), settings)
