"""A request is checked whole before anything is read, and problems name their line."""

from datetime import date
from pathlib import Path

import pytest

from conftest import ROOT
from lib.extract_home import spec
from rapport.errors import ExitCode, RequestInvalid
from rapport.extracts.request import (
    Request,
    read_request,
    rendered_schema,
    require_closed,
)


def read(tmp_path: Path, text: str) -> Request:
    path = tmp_path / "request.toml"
    path.write_text(text, encoding="utf-8")
    return read_request(path)


def test_a_request_is_the_same_whatever_the_order_of_its_lines(tmp_path: Path) -> None:
    lines = spec().splitlines()
    first = read(tmp_path, "\n".join(lines))
    assert first.digest() == read(tmp_path, "\n".join(reversed(lines))).digest()
    assert first.k == 11
    assert first.week_cap == 25


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sql": '"select 1"'}, "line 8, sql: no such key"),
        ({"cohort": '{ where = "1 = 1" }'}, "line 8, cohort.where: no such key"),
        ({"study": '"Bad Study"'}, "line 7, study:"),
        ({"title": '"short"'}, "line 7, title:"),
        ({"period": "{ from = 2024-01-02, to = 2025-12-31 }"}, "first day of a month"),
        ({"period": "{ from = 2024-01-01, to = 2025-12-30 }"}, "last day of a month"),
        ({"tables": '["episodes"]'}, "tables must hold clients"),
        ({"tables": '["clients", "notes"]'}, "tables of profile safe_harbor"),
        ({"columns": '{ clients = ["birth_year"] }'}, "none leaves in any profile"),
        ({"columns": '{ clients = ["client_key"] }'}, "none leaves in any profile"),
        ({"columns": '{ episodes = ["mood"] }'}, "no such column in profile"),
        ({"columns": '{ clients = ["zip3"] }'}, "none leaves in any profile"),
        ({"profile": '"limited"'}, "dua is required"),
        ({"profile": '"expert"', "dua": '"DUA-1"'}, "determination is required"),
        ({"joint_mean_max": "0.1"}, "joint_mean_max belongs to profile expert"),
        ({"quasi_identifiers": '["zip5"]'}, "quasi_identifiers and weights name"),
        ({"weights": "{ sex = 12 }"}, "weights.sex"),
        ({"profile": '"public"'}, "tables of profile public"),
        ({"expires_on": "2025-01-01"}, "expires_on must lie after the period"),
        ({"study": ""}, "study: Field required"),
    ],
)
def test_what_cannot_be_asked_is_named(
    tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    with pytest.raises(RequestInvalid) as caught:
        read(tmp_path, spec(**changes))
    assert says in caught.value.message
    assert caught.value.exit_code == ExitCode.USAGE


def test_all_problems_come_together(tmp_path: Path) -> None:
    with pytest.raises(RequestInvalid) as caught:
        read(tmp_path, spec(title='"short"', purpose='"short"', sql='"x"'))
    assert len(caught.value.message.splitlines()) == 4


def test_what_is_no_toml_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestInvalid, match="no valid TOML"):
        read(tmp_path, "study = ")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestInvalid, match="UTF-8"):
        read_request(tmp_path / "bytes.toml")


def test_a_month_closes_forty_five_days_after_its_end(tmp_path: Path) -> None:
    request = read(tmp_path, spec())
    require_closed(request, date(2026, 2, 14))
    with pytest.raises(RequestInvalid, match="closes on 2026-02-14"):
        require_closed(request, date(2026, 2, 13))


def test_a_package_with_zip3_has_no_state(tmp_path: Path) -> None:
    expert = {"profile": '"expert"', "dua": '"DUA-1"',
              "determination": '"Dr Example, 2026-01-05, 164.514(b)(1)"'}  # fmt: skip
    request = read(tmp_path, spec(**expert))
    assert "zip3" in request.lattice_columns
    assert "state" not in request.released_columns("clients")
    without = read(tmp_path, spec(**expert, columns='{ clients = ["state", "sex"] }'))
    assert without.lattice_columns == ("sex", "state")


def test_a_request_may_drop_columns_and_never_its_keys(tmp_path: Path) -> None:
    request = read(tmp_path, spec(columns='{ alliance = ["client_total"] }'))
    assert request.released_columns("alliance") == (
        "client_id", "episode_id", "session_number", "instrument", "client_total",
    )  # fmt: skip
    assert "birth_year" not in request.released_columns("clients")


def test_the_schema_in_the_docs_is_that_of_the_models() -> None:
    """When it is stale: ``make docs``."""
    page = ROOT / "docs" / "reference" / "extract_request.schema.json"
    assert page.read_text("utf-8") == rendered_schema()
