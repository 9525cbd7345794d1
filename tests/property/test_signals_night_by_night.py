"""The signal log over nights in a row, against one load of the whole history.

A random clinic is delivered as it happens, with bookings ahead, beside a few clients
whose data are corrected later. Five builds serve every test here.
"""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

import duckdb
import pytest

from conftest import Home
from lib.small_nights import built_night, settings_of, small_night

NIGHTS = ("2026-03-01", "2026-04-15", "2026-05-20", "2026-06-30")
N_CLIENTS = 90
Row = tuple


@dataclass
class Delivery:
    """What one night's delivery holds, as lines of the canonical files."""

    clients: list[str] = field(default_factory=list)
    episodes: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    measures: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)

    def files(self) -> dict[str, str]:
        heads = {
            "clients": "client_id",
            "episodes": "episode_id,client_id,opened_on,closed_on,closure_reason",
            "sessions": "session_id,client_id,therapist_id,episode_id,started_at,status",
            "measures": "administration_id,client_id,session_id,instrument,rater,"
            "administered_at,total_reported,deleted",
            "items": "administration_id,item,value",
        }
        return {
            f"{'measure_items' if name == 'items' else name}.csv": "\n".join(
                [head, *getattr(self, name)]
            )
            + "\n"
            for name, head in heads.items()
        }


class Calendar:
    """Rows by the day on which they become known, cut into one delivery a night."""

    def __init__(self) -> None:
        self.deliveries = [Delivery() for _ in NIGHTS]

    def on(self, day: date) -> Delivery | None:
        for night, delivery in zip(NIGHTS, self.deliveries, strict=True):
            if str(day) <= night:
                return delivery
        return None

    def session(self, client: str, n: int, day: date, status: str, *, therapist="T1",
                episode="", booked: int = 0) -> str:  # fmt: skip
        id_ = f"{client}-s{n}"
        row = f"{id_},{client},{therapist},{episode},{day}T10:00"
        if booked and (early := self.on(day - timedelta(days=booked))):
            early.sessions.append(f"{row},scheduled")
        if late := self.on(day):
            late.sessions.append(f"{row},{status}")
        return id_

    def form(self, client: str, day: date, instrument: str, total: float | None = None,
             items: dict[str, object] | None = None, *, rater="client", session="",
             known: date | None = None, deleted: str = "", name: str = "") -> None:  # fmt: skip
        delivery = self.on(known or day)
        if delivery is None:
            return
        id_ = name or f"{client}-{instrument}-{rater}-{session or day}"
        said = "" if total is None else f"{total:.2f}"
        delivery.measures.append(
            f"{id_},{client},{session},{instrument},{rater},{day},{said},{deleted}"
        )
        delivery.items += [f"{id_},{k},{v}" for k, v in (items or {}).items()]


def _random_client(calendar: Calendar, client: str, dice: random.Random) -> None:
    day = date(2025, 11, 1) + timedelta(days=dice.randrange(120))
    first = calendar.on(day) or calendar.deliveries[0]
    first.clients.append(client)
    is_reported = dice.random() < 0.5
    episode = f"{client}-e" if is_reported else ""
    ends = day + timedelta(days=dice.randrange(60, 300))
    if is_reported:
        first.episodes.append(f"{episode},{client},{day},,")
        if last := calendar.on(ends):
            last.episodes.append(f"{episode},{client},{day},{ends},completed")
    level, distress, therapist = dice.uniform(2.5, 4.5), dice.uniform(40, 60), "T1"
    for n in range(dice.randrange(3, 30)):
        if dice.random() < 0.06:
            therapist = "T2" if therapist == "T1" else "T1"
        status = dice.choices(
            ("attended", "no_show", "client_cancelled", "clinic_cancelled"),
            (0.75, 0.12, 0.08, 0.05),
        )[0]
        booked = dice.choice((0, 0, 7, 20))
        session = calendar.session(client, n, day, status, therapist=therapist,
                                   episode=episode, booked=booked)  # fmt: skip
        if status == "attended":
            level = min(5.0, max(1.0, level + dice.gauss(0, 0.35)))
            dip = 1.2 if dice.random() < 0.15 else 0.0
            distress = min(80.0, max(0.0, distress + dice.gauss(-0.5, 4)))
            _random_forms(calendar, client, session, day, level - dip, distress, dice)
        day += timedelta(days=dice.choice((7, 7, 7, 14, 35, 100)))


def _random_forms(calendar: Calendar, client: str, session: str, day: date,
                  level: float, distress: float, dice: random.Random) -> None:  # fmt: skip
    goal = [min(5, max(1, round(level + dice.gauss(0, 0.4)))) for _ in range(12)]
    answers = {str(k): v for k, v in enumerate(goal, start=1)}
    if dice.random() < 0.85:
        calendar.form(client, day, "WAI-SR", items=answers, session=session)
    if dice.random() < 0.5:
        theirs = {k: min(5, v + dice.choice((0, 1, 2))) for k, v in answers.items()}
        calendar.form(client, day, "WAI-SR", items=theirs, rater="therapist",
                      session=session)  # fmt: skip
        strain = {
            item: dice.choice((0, 1, 1, 2, 3))
            for item in (
                "T_FRUSTRATION",
                "T_EFFORT",
                "T_HELPLESS",
                "T_SELFDOUBT",
                "T_GOALS",
            )
        }
        calendar.form(client, day, "RAP-T", items=strain, rater="therapist",
                      session=session)  # fmt: skip
    if dice.random() < 0.7:
        calendar.form(client, day, "PCL-5", distress, session=session)
    if dice.random() < 0.4:
        calendar.form(client, day, "PHQ-9", min(27, distress / 3), session=session)


def _ruptured(
    calendar: Calendar, client: str, episode: str, *, stays: bool = False
) -> list[date]:
    """A rupture at the fourth of four weekly sessions in February; perhaps it stays."""
    calendar.deliveries[0].clients.append(client)
    calendar.deliveries[0].episodes.append(f"{episode},{client},2026-01-01,,")
    days = [date(2026, 2, 2) + timedelta(weeks=n) for n in range(4)]
    for n, (day, total) in enumerate(zip(days, (4.25, 4.25, 4.25, 3.0), strict=True)):
        session = calendar.session(client, n, day, "attended", episode=episode)
        calendar.form(
            client, day, "WAI-SR", total, session=session, name=f"{client}-{n}"
        )
    # Kept in touch, so that no silence opens beside it.
    for n in range(12):
        day = days[-1] + timedelta(weeks=2 * n + 2)
        if day <= date(2026, 6, 30):
            session = calendar.session(client, 10 + n, day, "attended", episode=episode)
            if stays:
                calendar.form(client, day, "WAI-SR", 3.0, session=session)
    return days


def _scripted(calendar: Calendar) -> None:
    """Clients whose data are corrected on a later night."""
    days = _ruptured(calendar, "corrected", "ec")
    for known, total in ((date(2026, 4, 1), 4.0), (date(2026, 5, 1), 3.0)):
        calendar.form("corrected", days[3], "WAI-SR", total, session="corrected-s3",
                      name="corrected-3", known=known)  # fmt: skip
    days = _ruptured(calendar, "gone", "eg")
    calendar.form("gone", days[3], "WAI-SR", 4.0, session="gone-s3", name="gone-3",
                  known=date(2026, 4, 1))  # fmt: skip
    _ruptured(calendar, "stays", "et", stays=True)
    _ruptured(calendar, "ended", "ee")
    calendar.deliveries[1].episodes.append("ee,ended,2026-01-01,2026-02-10,completed")
    calendar.deliveries[0].clients.append("silent")
    calendar.deliveries[0].episodes.append("es,silent,2026-01-01,,")
    calendar.session("silent", 0, date(2026, 1, 28), "attended", episode="es")
    calendar.session("silent", 1, date(2026, 3, 8), "attended", episode="es")


@dataclass(frozen=True)
class Nights:
    """What each night published, and what one load of everything comes to."""

    tables: list[dict[str, Row]]
    digests: list[dict]
    one_load: dict[str, Row]
    home: Home
    keys: dict[str, str]

    def of(self, night: int, client: str, signal: str) -> list[Row]:
        """Return (opened, first detected, closed, reason) rows of one client."""
        return sorted(
            row[4:8]
            for row in self.tables[night].values()
            if row[3] == self.keys[client] and row[0] == signal
        )


def _table(home: Home) -> dict[str, Row]:
    with duckdb.connect(
        home.path / "published" / "rapport.duckdb", read_only=True
    ) as con:
        rows = con.execute(
            "select signal_key, signal, instrument, episode_key, client_key,"
            " opened_on::varchar, first_detected_at::date::varchar, closed_on::varchar,"
            " closed_reason, therapist_key, clinic_key, status, evidence"
            " from outcomes.fct_care_signal"
        ).fetchall()
    return {row[0]: row[1:] for row in rows}


@pytest.fixture(scope="module")
def nights(new_home: Callable[[str], Home]) -> Nights:
    from rapport.privacy import KeyRing

    calendar = Calendar()
    dice = random.Random(20260630)
    for n in range(N_CLIENTS):
        _random_client(calendar, f"c{n}", dice)
    _scripted(calendar)
    home, at_once = new_home("nights"), new_home("one_load")
    tables, digests = [], []
    for as_of, delivery in zip(NIGHTS, calendar.deliveries, strict=True):
        home.deliver(f"d-{as_of}", delivery.files())
        small_night(home, as_of)
        tables.append(_table(home))
        digests.append(json.loads((home.path / "digest" / f"{as_of}.json").read_text()))
    shutil.copytree(home.path / "vault" / "keys", at_once.path / "vault" / "keys")
    for as_of, delivery in zip(NIGHTS, calendar.deliveries, strict=True):
        at_once.deliver(f"d-{as_of}", delivery.files())
    small_night(at_once, NIGHTS[-1])
    ring = KeyRing.of(settings_of(home))
    keys = {
        client: ring.row_key("client", "canonical", client)
        for client in ("corrected", "gone", "ended", "silent")
    }
    return Nights(tables, digests, _table(at_once), home, keys)


def _without_detection(row: Row) -> Row:
    return (*row[:5], *row[6:])


def test_one_load_gives_the_rows_and_ends_of_nights_in_a_row(nights: Nights) -> None:
    """All but `first_detected_at`, and rows that a later night no longer yields."""
    last = nights.tables[-1]
    assert len(nights.one_load) > 100
    assert len({row[0] for row in nights.one_load.values()}) == 8
    for key, row in nights.one_load.items():
        assert _without_detection(last[key]) == _without_detection(row)
    lost = [row for key, row in last.items() if key not in nights.one_load]
    assert {row[7] for row in lost} == {"withdrawn", "episode_closed"}
    assert {row[6] for row in lost if row[7] == "withdrawn"} <= set(NIGHTS[1:])


def test_a_published_row_is_published_ever_after(nights: Nights) -> None:
    """Neither `first_detected_at` nor `opened_on` of a published row is rewritten."""
    for before, after in zip(nights.tables, nights.tables[1:], strict=False):
        assert before.keys() <= after.keys()
        for key, row in before.items():
            assert after[key][4:6] == row[4:6]


def test_a_row_is_first_detected_on_the_night_that_first_shows_it(
    nights: Nights,
) -> None:
    seen: set[str] = set()
    for as_of, table in zip(NIGHTS, nights.tables, strict=True):
        assert {table[key][5] for key in table.keys() - seen} == {as_of}
        seen |= table.keys()


def test_a_corrected_row_is_withdrawn_on_that_night_and_stays(nights: Nights) -> None:
    opened = ("2026-02-23", NIGHTS[0])
    assert nights.of(0, "gone", "rupture") == [(*opened, None, None)]
    for night in (1, 2, 3):
        assert nights.of(night, "gone", "rupture") == [
            (*opened, NIGHTS[1], "withdrawn")
        ]


def test_a_row_that_comes_back_stands_as_the_history_has_it(nights: Nights) -> None:
    """Withdrawn on the second night, open again from the third; detected on the first."""
    opened = ("2026-02-23", NIGHTS[0])
    assert nights.of(1, "corrected", "rupture") == [(*opened, NIGHTS[1], "withdrawn")]
    assert nights.of(2, "corrected", "rupture") == [(*opened, None, None)]
    assert nights.of(3, "corrected", "rupture") == [(*opened, None, None)]


def test_a_row_lost_with_its_episode_closes_with_it(nights: Nights) -> None:
    """The episode turns out to have ended before the rupture."""
    assert nights.of(1, "ended", "rupture") == [
        ("2026-02-23", NIGHTS[0], NIGHTS[1], "episode_closed")
    ]


def test_an_appointment_booked_since_withdraws_a_silence(nights: Nights) -> None:
    """Silent from 2026-02-25; the session of 03-08, first heard of later, lies within
    fourteen days of it."""
    assert nights.of(0, "silent", "disengagement") == [
        ("2026-02-25", NIGHTS[0], None, None)
    ]
    assert nights.of(1, "silent", "disengagement") == [
        ("2026-02-25", NIGHTS[0], NIGHTS[1], "withdrawn"),
        ("2026-04-05", NIGHTS[1], None, None),
    ]


# --- the digest -----------------------------------------------------------------------


def _lines(digest: dict, name: str) -> list[dict]:
    return [line for clinic in digest["clinics"] for line in clinic[name]]


def test_the_digest_accounts_for_every_key_but_those_closed_in_both(
    nights: Nights,
) -> None:
    before: dict[str, Row] = {}
    for digest, table in zip(nights.digests, nights.tables, strict=True):
        told = {
            line["signal_key"]
            for name in (
                "opened",
                "closed",
                "opened_and_closed",
                "still_open",
                "withdrawn",
            )
            for line in _lines(digest, name)
        }
        closed_in_both = {
            key
            for key in before
            if before[key][6] is not None and table[key][6] is not None
        }
        assert told == table.keys() - closed_in_both
        assert sum(digest["counts"].values()) == len(told)
        before = table


def test_the_digest_tells_each_change_by_what_it_is(nights: Nights) -> None:
    names = ("first_night", "previous")
    said = [tuple(digest[name] for name in names) for digest in nights.digests]
    assert said == [(True, None), *((False, night) for night in NIGHTS[:-1])]
    mine = nights.keys["corrected"]
    kinds = [
        {
            name: line["reopened"]
            for name in ("opened", "withdrawn", "still_open")
            for line in _lines(digest, name)
            if line["client_key"] == mine and line["signal"] == "rupture"
        }
        for digest in nights.digests
    ]
    assert kinds == [
        {"opened": False}, {"withdrawn": False}, {"opened": True}, {"still_open": False},
    ]  # fmt: skip


def test_an_escalated_rupture_names_what_it_became(nights: Nights) -> None:
    lines = [
        (line, digest)
        for digest in nights.digests
        for name in ("closed", "opened_and_closed")
        for line in _lines(digest, name)
        if line["closed_reason"] == "escalated"
    ]
    assert lines
    for line, digest in lines:
        became = nights.tables[NIGHTS.index(digest["as_of"])][line["became"]]
        assert became[0] == "rupture_unrepaired"
        assert (became[2], became[4]) == (line["episode_key"], line["closed_on"])


def test_a_line_holds_keyed_ids_and_no_therapist(nights: Nights) -> None:
    lines = [line for digest in nights.digests for line in _lines(digest, "opened")]
    assert len(lines) > 20
    for line in lines:
        assert line["client_key"].startswith("cl_")
        assert not any(str(value).startswith("th_") for value in line.values())
        assert all(
            isinstance(value, int | float)
            for name, value in line["evidence"].items()
            if name != "method"
        )


def test_the_digest_again_has_the_same_bytes(nights: Nights) -> None:
    from rapport import night

    folder = nights.home.path / "digest"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    night.digest(settings_of(nights.home))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_night_that_is_not_published_adds_nothing_to_the_log(nights: Nights) -> None:
    """Refused, cut off before and cut off after the swap; then the next run learns."""
    from rapport import night
    from rapport.state import ControlState
    from rapport.warehouse import publish_snapshot

    settings, state = settings_of(nights.home), ControlState(nights.home.path)
    log = state.signal_log()
    run_id = built_night(nights.home, "2026-07-31")
    assert state.signal_log() == log
    state.set_run(run_id, "refused")
    night.digest(settings)
    refused = json.loads((nights.home.path / "digest" / "2026-07-31.json").read_text())
    assert refused["refused"]
    assert refused["previous"] == NIGHTS[-1]
    assert refused["counts"]["opened"] == refused["counts"]["closed"] == 0
    assert (
        "gate refused" in (nights.home.path / "digest" / "2026-07-31.html").read_text()
    )

    publish_snapshot(settings, run_id)
    assert state.signal_log() == log
    night.start_run(settings, date(2026, 7, 31))
    news = state.signal_log()[len(log) :]
    assert news and {entry[0] for entry in news} == {run_id}
    assert state.signal_log()[: len(log)] == log


def test_an_erasure_takes_a_person_out_of_the_log_and_leaves_a_number(
    nights: Nights, tmp_path
) -> None:
    from datetime import UTC, datetime

    from rapport.state import ControlState

    shutil.copytree(nights.home.path / "state", tmp_path / "state")
    state = ControlState(tmp_path)
    mine = nights.keys["gone"]
    n = len({e[2] for e in state.signal_log() if e[6] == mine})
    assert n > 0
    assert state.erase_signals([mine], datetime(2026, 7, 1, tzinfo=UTC)) == n
    assert not [e for e in state.signal_log() if e[6] == mine]
    assert [count for _, count in state.signal_erasures()] == [n]
