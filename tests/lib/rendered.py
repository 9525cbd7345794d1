"""A model's SQL with given tables in place of its refs, for many cases in one query."""

import re

from conftest import ROOT
from rapport.warehouse.rendered import ModelTexts

PROJECT = ROOT / "dbt_project"
TEXTS = ModelTexts(PROJECT)
_SETTING = re.compile(
    r"\(select number from control\.setting where name = '([\w.]+)'\)"
)


class SparkTexts(ModelTexts):
    """The project's SQL as Spark is given it."""

    def dispatch(self, name: str, package: str) -> object:
        return self._macros[f"default__{name}"]


def render(body: str, settings: dict[str, float] | None) -> str:
    """Render SQL that uses the project's macros; a setting is the number given for it.

    Without settings they are read from ``control.setting``, as in a build.
    """
    text = TEXTS.render(body)
    if settings is None:
        return text
    return _SETTING.sub(lambda found: repr(settings[found[1]]), text)


def model(name: str, settings: dict[str, float] | None) -> str:
    """Render a model."""
    [path] = (PROJECT / "models").rglob(f"{name}.sql")
    return render(path.read_text("utf-8"), settings)
