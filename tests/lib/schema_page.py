"""``docs/reference/schema.md``: the published tables, from the contracts of the models."""

from pathlib import Path

import yaml

from conftest import ROOT

PAGE = ROOT / "docs" / "reference" / "schema.md"
MARTS = ROOT / "dbt_project" / "models" / "marts"
SCHEMAS = {
    "core": "Clients, therapists, clinics, sessions, episodes and scores, one row each.",
    "alliance": "The working alliance: session by session, its ruptures and repairs.",
    "outcomes": "What changed for people, where recovery stalls, and the care signals.",
    "qi": "Months, cohorts, charts and comparisons, with small groups hidden.",
    "ops": "What the build found in the data; the ledgers beside it are `ops.run`,"
    " `ops.delivery`, `ops.row_ledger`, `ops.check_result` and `ops.change_log`.",
}


def rendered() -> str:
    """Return the page."""
    lines = [
        "# Published tables",
        "",
        "For whoever asks `published/rapport.duckdb`. Each table keeps these columns, names,"
        " types and meanings: they are its contract, and a build that breaks one stops."
        " `rapport sql .tables` and `.describe` print the same. Shares lie between 0 and 1.",
    ]
    for schema, about in SCHEMAS.items():
        lines += ["", f"## {schema}", "", about]
        for path in sorted((MARTS / schema).glob("*.yml")):
            lines += _table(schema, path)
    return "\n".join(lines) + "\n"


def _table(schema: str, path: Path) -> list[str]:
    (model,) = yaml.safe_load(path.read_text("utf-8"))["models"]
    keys = [
        column
        for test in model.get("data_tests", [])
        if isinstance(test, dict)
        for column in test.get("unique_together", {})
        .get("arguments", {})
        .get("columns", [])
    ]
    lines = ["", f"### {schema}.{model['name']}", "", _cell(model["description"])]
    if keys:
        lines += ["", "Key: " + ", ".join(f"`{key}`" for key in keys) + "."]
    lines += ["", "| column | type | what it is |", "| --- | --- | --- |"]
    lines += [
        f"| `{c['name']}` | {c['data_type']} | {_cell(c['description'])} |"
        for c in model["columns"]
    ]
    return lines


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(rendered(), encoding="utf-8")
