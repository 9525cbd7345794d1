"""What models may say so that DuckDB and Spark build the same (docs/reference/portability.md)."""

import re
from pathlib import Path

import pytest

from conftest import ROOT
from lib.rendered import SparkTexts

PROJECT = ROOT / "dbt_project"
# Rule -> what breaks it, in SQL without comments.
RULES = {
    "text is string": r"\bas (varchar|text)\b",
    "no cast by ::": r"::",
    "a recursion's union is union all": r"(?s)\bwith recursive\b.*\bunion\b(?! all\b)",
    "divide by doubles": r"/\s*\d+\.\d+(?!\d*e)",
    "no lists outside macros": r"\b(list|array)_\w+\s*\(|\bunnest\s*\(|\bstruct_pack\s*\(",
    "no ordered text outside macros": r"\b(string_agg|listagg|group_concat)\s*\(",
    "no quantile outside macros": r"\b(quantile_cont|percentile_cont|median)\s*\(",
    "no date arithmetic outside macros": (
        r"\binterval\b|\bdate_(diff|add|sub)\s*\(|\bdatediff\s*\(|\bto_(days|months)\s*\("
        r"|\bepoch\w*\s*\(|\bstrftime\s*\("
    ),
    "no time zone outside macros": r"\btimezone\s*\(|\bat time zone\b",
    "no hash outside macros": r"\b(sha256|sha2|md5|hash)\s*\(",
    "no regular expression outside macros": r"\bregexp_\w+\s*\(|\brlike\b|\bsimilar to\b",
    "no gamma function outside macros": r"\blgamma\s*\(",
    "no one engine's clause": (
        r"\bqualify\b|\bgroup by all\b|\border by all\b|\bexclude\b|\bpivot\b"
        r"|\bdistinct on\b|\basof\b|\bpositional\b"
    ),
}
# An order whose key may lack an `else` sorts nulls last on DuckDB and first on Spark.
ORDERED_CASE = re.compile(
    r"order by(?:(?!\)).)*?\bcase\b((?:(?!\bend\b).)*)\bend\b(?! \w* ?nulls)", re.S
)
DISPATCHED = re.compile(r"adapter\.dispatch\('(\w+)', 'rapport'\)")


def written(path: Path) -> str:
    sql = path.read_text("utf-8")
    sql = re.sub(r"\{#.*?#\}", "", sql, flags=re.S)
    return re.sub(r"--.*", "", sql)


def shared_sql() -> dict[str, str]:
    """Return what both engines are given: models and tests, and macros of no one engine."""
    files = [
        *(PROJECT / "models").rglob("*.sql"),
        *(PROJECT / "tests").rglob("*.sql"),
    ]
    found = {path.stem: written(path) for path in files}
    for path in (PROJECT / "macros").glob("*.sql"):
        for name, body in macros_of(written(path)).items():
            if not name.startswith(("duckdb__", "default__", "spark_")):
                found[f"macro {name}"] = body
    assert len(found) > 150
    return found


def macros_of(sql: str) -> dict[str, str]:
    """Return name -> body of the macros of a file."""
    parts = re.findall(r"\{%-? macro (\w+)\(.*?%\}(.*?)\{%-? endmacro", sql, flags=re.S)
    return dict(parts)


def breaches(found: dict[str, str]) -> list[str]:
    wrong = [
        f"{name}: {rule}"
        for name, sql in found.items()
        for rule, pattern in RULES.items()
        if re.search(pattern, sql)
    ]
    for name, sql in found.items():
        for case in ORDERED_CASE.findall(sql):
            if not re.search(r"\belse\b", case):
                wrong.append(f"{name}: an order by a case says what else")
    return wrong


def test_models_and_shared_macros_keep_to_what_both_engines_read() -> None:
    assert breaches(shared_sql()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "select cast(a as varchar) from b",
        "with recursive a as (select b from c union select b from a) select b from a",
        "select a / 7.0 from b",
        "select lgamma(a + 1) from b",
        "select row_number() over (order by case when a = 1 then 0 end, b) from c",
        "select a from b qualify row_number() over (order by a) = 1",
        "select date_diff('day', a, b) from c",
    ],
)
def test_a_breach_is_seen(planted: str) -> None:
    assert len(breaches({"planted": planted})) == 1


def test_what_the_engines_spell_differently_is_there_for_both() -> None:
    macros = {
        name: body
        for path in (PROJECT / "macros").glob("*.sql")
        for name, body in macros_of(written(path)).items()
    }
    asked = {name for body in macros.values() for name in DISPATCHED.findall(body)}
    assert len(asked) > 20
    for name in asked:
        assert f"duckdb__{name}" in macros, name
        assert f"default__{name}" in macros, name
    told = {
        n.split("__", 1)[1] for n in macros if n.startswith(("duckdb__", "default__"))
    }
    assert told == asked


def test_every_model_is_written_for_spark_without_a_word_of_duckdb() -> None:
    texts = SparkTexts(PROJECT)
    models = sorted((PROJECT / "models").rglob("*.sql"))
    assert len(models) > 100
    of_duckdb = "text is string", "no cast by ::", "a recursion's union is union all"
    for path in models:
        sql = re.sub(r"--.*", "", texts.model(path.stem))
        assert sql.count("(") == sql.count(")"), path.stem
        for rule in of_duckdb:
            assert not re.search(RULES[rule], sql), f"{path.stem}: {rule}"
        assert not re.search(r"\b(list_\w+|struct_pack|lgamma|unnest)\s*\(", sql), (
            path.stem
        )
