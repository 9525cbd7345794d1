"""What happens to extracts in time: months freeze, are restated, end; people are erased."""

import csv
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest

from lib.extract_home import TODAY, change_snapshot, lay_home, spec, with_uids
from rapport.errors import ExtractRefused, RequestInvalid, UsageError
from rapport.extracts import lifecycle
from rapport.extracts.erasure import forget_persons
from rapport.extracts.frozen import last_closed
from rapport.extracts.lifecycle import (
    approve_extract,
    note_expired,
    refuse_extract,
    release_extract,
    request_extract,
    restate_months,
    studies,
)
from rapport.night import digest
from rapport.report import status_of
from rapport.settings import Settings

N = 120
TABLES = '["clients", "episodes", "outcomes"]'
# Corrections of two persons, one of them still in therapy, and someone who came late.
CORRECTED = (
    "update outcomes.fct_episode_outcome set last_score = 77 where episode_key in"
    " (select episode_key from person where i in (3, 4))",
    "update core.dim_client set sex = case sex when 'male' then 'female' else 'male' end where client_key ="
    " (select client_key from person where i = 3)",
    "update core.fct_session set status = 'no_show' where session_number > 4"
    " and client_key = (select client_key from person where i = 3)",
    "update core.fct_episode set closure_reason = 'referred' where client_key ="
    " (select client_key from person where i = 3)",
)
RUNNING = (
    "update core.fct_episode set closed_on = null, episode_status = 'open',"
    " closure_reason = null, dropout = null where episode_key ="
    " (select episode_key from person where i = 4)",
)


def ask(settings: Settings, **changes: str) -> str:
    path = settings.home / "request.toml"
    path.write_text(spec(**{"tables": TABLES, **changes}), encoding="utf-8")
    return request_extract(settings, path, TODAY).request_id


def built(settings: Settings, request_id: str, table: str) -> list[dict[str, str]]:
    path = settings.home / "extracts" / request_id / "build" / "data" / f"{table}.csv"
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, str]:
    """Return a home with one release, from which two months on one was corrected."""
    settings = lay_home(tmp_path_factory.mktemp("upkeep") / "home", N, RUNNING)
    with_uids(settings, lambda place: place)
    request_id = ask(settings)
    approve_extract(settings, request_id, "Grace Hopper", TODAY)
    release_extract(settings, request_id, TODAY)
    return settings, request_id


@pytest.fixture
def own(asked: tuple[Settings, str], new_home: Callable) -> Settings:
    """Return a copy of the home, to be changed."""
    home = Path(shutil.copytree(asked[0].home, new_home("own").path))
    return asked[0].model_copy(update={"home": home})


def last_scores(settings: Settings, request_id: str) -> set[str]:
    return {row["last_score"] for row in built(settings, request_id, "outcomes")}


def test_a_month_is_closed_forty_five_days_after_its_end() -> None:
    assert last_closed(date(2026, 6, 14)) == date(2026, 4, 30)
    assert last_closed(date(2026, 6, 13)) == date(2026, 3, 31)
    assert last_closed(date(2026, 2, 14)) == date(2025, 12, 31)


def test_a_correction_in_a_frozen_month_enters_at_the_restatement_alone(
    asked: tuple[Settings, str], own: Settings
) -> None:
    first = asked[1]
    change_snapshot(own, (*RUNNING, *CORRECTED), n=N)
    with duckdb.connect(str(own.home / "published" / "rapport.duckdb"), read_only=True) as con:  # fmt: skip
        off = con.execute("select count(*) from outcomes.fct_episode_outcome"
                          " where last_score = 77").fetchone()  # fmt: skip
    assert off == (2,)  # whoever holds a package of before and of now sees them
    again = ask(own, study='"a-second-study-2026"')
    scores = [r["last_score"] for r in built(own, again, "outcomes")]
    # The one in therapy goes on with everyone who does; the course of the other is frozen.
    assert scores.count("77.0") == 1
    same = {"client_id", "episode_id"}
    for table in ("clients", "episodes"):
        before, after = (
            sorted(
                tuple(sorted((k, v) for k, v in row.items() if k not in same))
                for row in built(own, id_, table)
            )
            for id_ in (first, again)
        )
        assert before == after
    with pytest.raises(UsageError, match="a request waits"):
        restate_months(own, "yearly restatement", TODAY)
    refuse_extract(own, again, "Grace Hopper", "not needed any more")
    change_snapshot(own, (*RUNNING, *CORRECTED[:1]), n=N)
    assert restate_months(own, "yearly restatement", TODAY)["n_superseded"] == 1
    later = ask(own, study='"a-third-study-2026"')
    scores = [r["last_score"] for r in built(own, later, "outcomes")]
    assert scores.count("77.0") == 2
    refuse_extract(own, later, "Grace Hopper", "not needed any more")
    with pytest.raises(UsageError, match="restated in 2026"):
        restate_months(own, "once more this year", TODAY)


def test_who_comes_late_by_a_restatement_is_still_held_against_earlier_releases(
    own: Settings,
) -> None:
    change_snapshot(own, RUNNING, n=N + 8)
    restate_months(own, "yearly restatement", TODAY)
    with pytest.raises(ExtractRefused, match="fewer than 11 persons"):
        ask(own, study='"a-fourth-study-2026"')


def test_a_deleted_episode_stays_in_its_frozen_month(
    asked: tuple[Settings, str], own: Settings
) -> None:
    n = len(built(own, asked[1], "clients"))
    gone = "(select episode_key from person where i = 7)"
    tables = ("core.fct_episode", "core.fct_session", "outcomes.fct_episode_outcome")
    change_snapshot(
        own, (*RUNNING, *(f"delete from {t} where episode_key = {gone}" for t in tables)), n=N
    )  # fmt: skip
    # Every predicate is held against the frozen values too; here all of them hold.
    cohort = (
        '{ min_attended = 3, trauma_focused = true, instruments = ["WAI-SR", "SRS"],'
        ' approach = ["emdr", "cpt"], state = ["NY", "CA"] }'
    )
    asked_now = ask(own, study='"a-fifth-study-2026"', cohort=cohort)
    assert len(built(own, asked_now, "clients")) == n


def test_a_frozen_month_holds_uids_and_hashes_and_no_key(
    asked: tuple[Settings, str],
) -> None:
    folder = asked[0].home / "vault" / "cohorts"
    with duckdb.connect() as con:
        listed = con.execute(
            f"select uid, episode_uid, content_hash from '{folder}/2024-*.parquet'"
        ).fetchall()
        assert len({uid for uid, *_ in listed}) == len(listed) > 50
        assert all(len(content) == 64 for *_, content in listed)
        parts = sorted(folder.glob("part-*/*.parquet"))
        assert len(parts) == 8
        for path in parts:
            rows = con.execute(f"select * from '{path}'").fetchall()
            assert rows
            assert not [v for row in rows for v in row
                        if str(v)[:3] in ("cl_", "ep_", "se_", "th_", "cn_")]  # fmt: skip
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}


def test_an_erasure_takes_a_person_out_of_the_frozen_months(
    asked: tuple[Settings, str], own: Settings
) -> None:
    n = len(built(own, asked[1], "clients"))
    folder = own.home / "vault" / "cohorts"
    uid = f"{5:032x}"

    def holding() -> int:
        with duckdb.connect() as con:
            return sum(
                bool(con.execute(f"select 1 from '{p}' where uid = '{uid}'").fetchall())
                for p in sorted(folder.rglob("*.parquet"))
            )

    n_before = holding()
    assert n_before >= 5
    assert forget_persons(own.home, [uid]) >= n_before
    assert holding() == 0
    later = ask(own, study='"after-an-erasure"')
    assert len(built(own, later, "clients")) == n - 1


def test_a_killed_freezing_is_begun_anew(own: Settings) -> None:
    folder = own.home / "vault" / "cohorts"
    (part,) = folder.glob("part-*")
    part.rename(part.with_suffix(".building"))
    for path in folder.glob("*.parquet"):
        path.unlink()
    ask(own, study='"after-a-kill-2026"')
    assert [p.name for p in folder.glob("part-*")] == ["part-0001"]
    assert len(list(folder.glob("20*.parquet"))) == 24


def test_a_study_ends_its_key_goes_and_its_name_is_not_taken_again(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = own.home / "vault" / "studies" / "alliance-repair-2026.key"
    assert note_expired(own, date(2027, 12, 31)) == {"n_expired": 0, "n_keys_destroyed": 0}  # fmt: skip
    assert note_expired(own, date(2028, 1, 1)) == {"n_expired": 1, "n_keys_destroyed": 0}  # fmt: skip
    assert note_expired(own, date(2028, 1, 30))["n_keys_destroyed"] == 0
    assert key.exists()
    assert note_expired(own, date(2028, 1, 31))["n_keys_destroyed"] == 1
    assert not key.exists()
    (study,) = studies(own.home)
    assert (study.has_key, study.key_until) == (False, date(2028, 1, 30))
    with pytest.raises(RequestInvalid, match="cannot be made again") as caught:
        ask(own, title='"The same study, asked for once more"')
    assert caught.value.reason == "extract_study_ended"
    assert not key.exists()


def test_a_night_tidies_extracts_and_the_status_lists_ended_studies(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    days: list[date] = []
    monkeypatch.setattr(lifecycle, "note_expired", lambda _, day: days.append(day))
    monkeypatch.setattr("rapport.dashboard.write_digest", lambda *_: None)
    digest(own)
    assert len(days) == 1
    ended = lifecycle.Study("old", date(2026, 1, 31), date(2026, 3, 2), True)
    monkeypatch.setattr(lifecycle, "studies", lambda _: [ended])
    # The laid snapshot holds what extracts read, and no care signal.
    monkeypatch.setattr("rapport.report._open_signals", lambda _: None)
    assert status_of(own)["extracts"]["ended_studies"] == [
        {
            "study": "old",
            "ends_on": "2026-01-31",
            "key_until": "2026-03-02",
            "has_key": True,
        }
    ]
