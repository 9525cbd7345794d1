"""The project's own SQL without dbt: a model's text for DuckDB, its refs plain tables.

A question that can't wait for a build (``rapport chart``) runs the models themselves on
tables that it lays. dbt's compiler and this one write the same SQL; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment


class ModelTexts:
    """The models and macros of a dbt project, rendered one at a time.

    Args:
        project: the folder of ``dbt_project.yml``.
        ref: the relation of a model or seed, by its name.
        source: the relation of a source's table, by schema and name.
        is_increment: as on a night that computes the touched clients alone.
    """

    def __init__(
        self,
        project: Path,
        ref: Callable[[str], str] = lambda name: name,
        source: Callable[[str, str], str] = lambda schema, name: f"{schema}.{name}",
        *,
        is_increment: bool = False,
    ) -> None:
        self._project = project
        self._environment = Environment(extensions=["jinja2.ext.do"])
        self._environment.globals.update(
            {
                "adapter": self,
                "is_increment": lambda: is_increment,
                "return": lambda said: said,
                "ref": ref,
                "source": source,
            }
        )
        # A macro sees the others of its own template alone, so all of them are one.
        # Materializations, which only dbt runs, lie in a folder of their own.
        files = sorted((project / "macros").glob("*.sql"))
        macros = "".join(path.read_text("utf-8") for path in files)
        self._macros = vars(self._environment.from_string(macros).module)

    def dispatch(self, name: str, package: str) -> Any:
        """Stand for dbt's adapter: a dispatched macro is DuckDB's, else the default."""
        found = self._macros.get(f"duckdb__{name}")
        return found or self._macros[f"default__{name}"]

    def render(self, body: str) -> str:
        """Return SQL that uses the project's macros."""
        return (
            self._environment.from_string(body, globals=self._macros).render().strip()
        )

    def model(self, name: str) -> str:
        """Return the SQL of a model."""
        (path,) = (self._project / "models").rglob(f"{name}.sql")
        return self.render(path.read_text("utf-8"))

    def seed(self, name: str) -> Path:
        """Return the file of a seed."""
        return self._project / "seeds" / f"{name}.csv"
