"""`rapport chart`: files it reads and refuses, and what it says of them."""

import json
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from conftest import ROOT
from rapport import cli
from rapport.chart import Wish, chart_of, drawn, read_figures
from rapport.errors import UsageError
from rapport.settings import Quality

MARTS = ROOT / "dbt_project" / "models" / "marts" / "qi"
UNITS = """unit,numerator,denominator
"West, old town",40,80
North,12,60
South,20,60
East,3,40
Centre,9,50
Far,0,0
"""


def columns_of(mart: str) -> list[str]:
    said = yaml.safe_load((MARTS / f"{mart}.yml").read_text("utf-8"))
    return [column["name"] for column in said["models"][0]["columns"]]


def month(k: int) -> str:
    return f"{2023 + k // 12}-{k % 12 + 1:02}"


def lay(folder: Path, text: str, name: str = "own.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def shares(n: int, last: str = "") -> str:
    rows = [f"{month(k)},{40 + k % 3},60" for k in range(n)]
    return "\n".join(["month,numerator,denominator", *rows, *last.split()])


def found(path: Path, wish: Wish | None = None) -> dict:
    return chart_of(ROOT, path, wish or Wish(), Quality())


def test_a_share_has_the_columns_of_the_tables_and_a_sentence(tmp_path: Path) -> None:
    path = lay(tmp_path, shares(14, "2024-03,58,60"))
    said = found(path, Wish(better="up", target=0.9))
    assert list(said) == ["series", "points", "sentence"]
    (series,) = said["series"]
    assert list(series) == columns_of("spc_series")
    assert list(said["points"][0]) == columns_of("spc_point")
    assert (series["kind"], series["limits"]) == ("p_prime", "trial")
    assert series["assurance"] == "consistently_misses"
    assert said["points"][-1]["rule"] == "outside"
    assert said["sentence"] == (
        "58 of 60 in March 2024 (97 %). Centre 70 %, trial limits 52 % to 88 %. Worth a look: "
        "March 2024 is above the upper limit (better direction); limits are provisional."
    )


def test_months_without_a_value_are_gaps_and_order_does_not_matter(
    tmp_path: Path,
) -> None:
    rows = [f"{month(k)},{3 + k % 2}" for k in range(13)]
    tidy = lay(tmp_path, "\n".join(["month,value", *rows]))
    text = "\ufeffMonth ; Value\r\n" + "\r\n".join(
        [f"{month(13)};", *(row.replace(",", "-28;") for row in reversed(rows)), ""]
    )
    other = lay(tmp_path, text, "other.csv")
    points = found(other)["points"]
    assert (points[-1]["month"], points[-1]["value"]) == (date(2024, 2, 1), None)
    assert (points[-1]["limits"], points[-1]["used"]) == ("none", None)
    assert points[:-1] == found(tidy)["points"]


def test_a_decimal_comma_is_read_where_semicolons_part_the_cells(
    tmp_path: Path,
) -> None:
    path = lay(tmp_path, "month;value\n2024-01;3,25\n")
    assert read_figures(path).lines[0].numbers == (3.25,)


def test_a_change_begins_a_segment_and_the_words_are_of_the_last(
    tmp_path: Path,
) -> None:
    path = lay(tmp_path, shares(30))
    said = found(path, Wish(changes=(date(2024, 7, 1),)))
    assert [s["n_points"] for s in said["series"]] == [18, 12]
    assert said["series"][1]["change_note"] == "change from 2024-07"
    assert {p["segment"] for p in said["points"] if p["month"] >= date(2024, 7, 1)} == {
        1
    }


def test_too_few_points_and_none_at_all_are_told(tmp_path: Path) -> None:
    few = found(lay(tmp_path, shares(5)))
    assert few["sentence"].endswith("Too little data to say (5 of 12 months).")
    none = found(lay(tmp_path, "month,numerator,denominator\n2024-01,0,0\n2024-02,,\n"))
    assert none["series"][0]["variation"] == "no_data"
    assert none["sentence"] == "Too little data to say (0 of 12 months)."


@pytest.mark.parametrize("kind", ["p", "p_prime", "u", "u_prime", "xmr", "run"])
def test_every_kind_draws_an_svg_with_its_sentence_inside(
    tmp_path: Path, kind: str
) -> None:
    said = found(lay(tmp_path, shares(16)), Wish(kind))
    assert said["series"][0]["kind"] == kind
    root = ElementTree.fromstring(drawn(said, "Ours & <theirs>"))
    space = {"svg": "http://www.w3.org/2000/svg"}
    assert root.find("svg:title", space).text == "Ours & <theirs>"
    assert root.find("svg:desc", space).text == said["sentence"]
    assert not [e for e in root.iter() if e.tag.endswith(("script", "image", "link"))]
    assert "var(" not in root.find("svg:style", space).text
    (series,) = said["series"]
    is_plain = kind in ("p", "u")
    assert (series["sigma_z"] == 1 and series["screening"] == "off") == is_plain


def test_a_funnel_keeps_every_unit_in_name_order(tmp_path: Path) -> None:
    said = found(lay(tmp_path, UNITS))
    assert list(said)[:5] == ["target", "phi", "tau2", "adjusted", "units"]
    assert list(said["units"][0]) == ["unit", *columns_of("clinic_funnel")]
    names = [unit["unit"] for unit in said["units"]]
    assert names == ["Centre", "East", "Far", "North", "South", "West, old town"]
    assert said["target"] == pytest.approx(84 / 290)
    assert said["adjusted"] and said["phi"] > 1
    assert said["units"][2]["value"] is None, "nothing counted is no share of 0"
    assert said["sentence"] == (
        "0 of 5 units lie outside the 99.8 % limits, after allowing for φ = "
        f"{said['phi']:.2f}. Not adjusted for case mix."
    )
    ElementTree.fromstring(drawn(said, "Units"))


def test_a_small_funnel_names_who_lies_outside(tmp_path: Path) -> None:
    text = "unit,numerator,denominator\nA,10,100\nB,10,100\nC,60,100\n"
    said = found(lay(tmp_path, text))
    assert [u["position"] for u in said["units"]] == ["low", "low", "high"]
    assert (
        "3 of 3 units lie outside the 99.8 % limits (A, B and C)." in said["sentence"]
    )
    alone = found(lay(tmp_path, "unit,numerator,denominator\nA,10,100\n"))
    assert alone["sentence"].startswith("No limits")


@pytest.mark.parametrize(
    ("text", "wish", "why"),
    [
        ("", Wish(), "empty"),
        ("a,b\n1,2\n", Wish(), "line 1"),
        ("month,value\n", Wish(), "no row"),
        ("month,value\n2024-13,1\n", Wish(), "line 2, month"),
        ("month,value\n2024-01,1e999\n", Wish(), "line 2, value"),
        ("month,value\n2024-01,1_0\n", Wish(), "line 2, value"),
        ("month,value\n2024-01,1\n\n2024-01-31,2\n", Wish(), "line 4, month: the same as on line 2"),
        ("month,value\n2024-01\n", Wish(), "line 2: 1 cells"),
        ('month,value\n2024-01,"1\n', Wish(), "quotation"),
        ("month,value\n2024-01,1\n", Wish("p"), "needs month,numerator,denominator"),
        ("month,value\n2024-01,1\n", Wish("funnel"), "unit,numerator"),
        ("month,numerator,denominator\n2024-01,7,5\n", Wish(), "more than the denominator; for a rate"),
        ("month,numerator,denominator\n2024-01,-1,5\n", Wish("u"), "less than 0"),
        ("month,numerator,denominator\n2024-01,1.5,5\n", Wish("u"), "whole number"),
        ("month,numerator,denominator\n2024-01,1,0\n", Wish("u"), "denominator: 0"),
        ("unit,numerator,denominator\n,1,5\n", Wish(), "needs a name"),
        ("unit,numerator,denominator\nA,1,5\n", Wish("xmr"), "a funnel"),
        ("unit,numerator,denominator\nA,1,5\n", Wish(target=0.5), "--target"),
        ("unit,numerator,denominator\nA,1,5000000\n", Wish(), "more than 1,000,000"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_its_line(
    tmp_path: Path, text: str, wish: Wish, why: str
) -> None:
    with pytest.raises(UsageError) as stopped:
        found(lay(tmp_path, text), wish)
    assert why in f"{stopped.value.message} {stopped.value.next_step}"
    assert stopped.value.exit_code == 2


def test_all_problems_come_together_without_a_value(tmp_path: Path) -> None:
    rows = [f"2024-{k:02},secret{k}" for k in range(1, 13)]
    with pytest.raises(UsageError) as stopped:
        found(lay(tmp_path, "\n".join(["month,value", *rows])))
    assert "line 2, value" in stopped.value.message
    assert "and 2 more" in stopped.value.message
    assert "secret" not in stopped.value.message


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
    for path, why in [(tmp_path / "no.csv", "no such file"), (tmp_path, "a folder")]:
        with pytest.raises(UsageError, match=why):
            found(path)
    (tmp_path / "x.csv").write_bytes(b"month,value\n2024-01,\xff\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        found(tmp_path / "x.csv")


def test_the_command_needs_no_home_and_leaves_none(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "nowhere"
    monkeypatch.setenv("RAPPORT_HOME", str(home))
    path = str(lay(tmp_path, shares(24)))

    def run(*options: str) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["chart", path, *options])
        assert ended.value.code == 0
        said = capsys.readouterr()
        return said.out, said.err

    out, err = run("--json", "--no-floor", "--no-screen", "--change", "2023-02")
    document = json.loads(out)
    assert err == ""
    assert document["series"][1]["screening"] == "off"
    assert document["series"][1]["sigma_z"] < 1
    assert document["points"][0]["month"] == "2023-01-01"
    out, err = run()
    assert out.startswith("<svg")
    assert "No sign of change" in err
    assert not home.exists()


def test_rules_are_those_of_the_settings_unless_asked_otherwise(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seven on one side are a shift by 7 and none by 8."""
    values = [4, 5] * 6 + [4.8, 4.2] * 4 + [4.6, 4.7, 4.6, 4.7, 4.6, 4.7, 4.6]
    rows = [f"{month(k)},{v}" for k, v in enumerate(values)]
    path = str(lay(tmp_path, "\n".join(["month,value", *rows])))
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path / "nowhere"))

    def last_rule(*options: str) -> str:
        with pytest.raises(SystemExit):
            cli.main(["chart", path, "--json", *options])
        return json.loads(capsys.readouterr().out)["points"][-1]["rule"]

    assert last_rule() == "none"
    assert last_rule("--shift", "7") == "shift"
    monkeypatch.setenv("RAPPORT_QI__SHIFT_POINTS", "7")
    assert last_rule() == "shift"
    assert last_rule("--shift", "8") == "none"
