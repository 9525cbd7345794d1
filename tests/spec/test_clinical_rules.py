"""The measurement page, case by case, through the door and one build.

Each case is one client of its own, so that all share a single night.
"""

from collections.abc import Callable

import duckdb
import pytest

from conftest import Home

AS_OF = "2026-06-30"
WAI = {"goal": (4, 6, 8, 11), "task": (1, 2, 10, 12), "bond": (3, 5, 7, 9)}


class Clinic:
    """Canonical rows of many cases, one client a case."""

    def __init__(self) -> None:
        self.clients: set[str] = set()
        self.sessions: list[str] = []
        self.episodes: list[str] = []
        self.measures: list[str] = []
        self.items: list[str] = []
        self.merges: list[str] = []

    def session(self, client: str, day: str, status: str = "attended", *,
                therapist: str = "T1", name: str | None = None, episode: str = "",
                zone: str = "", at: str = "10:00", end: str = "") -> str:  # fmt: skip
        self.clients.add(client)
        id_ = name or f"{client}-s{len(self.sessions)}"
        self.sessions.append(
            f"{id_},{client},{therapist},{episode},{day}T{at},{end},{zone},{status}"
        )
        return id_

    def form(self, client: str, instrument: str, day: str, values: dict[str, object],
             *, rater: str = "client", session: str = "", total: str = "") -> str:  # fmt: skip
        self.clients.add(client)
        id_ = f"{client}-m{len(self.measures)}"
        self.measures.append(
            f"{id_},{client},{session},{instrument},{rater},{day},{total}"
        )
        self.items += [f"{id_},{item},{value}" for item, value in values.items()]
        return id_

    def series(self, client: str, totals: list[tuple[float, float, float]],
               therapists: list[str] | None = None) -> None:  # fmt: skip
        """Weekly sessions with a WAI-SR of the given goal, task and bond means."""
        for n, parts in enumerate(totals):
            day = f"2026-{1 + n // 4:02d}-{1 + 7 * (n % 4):02d}"
            who = therapists[n] if therapists else "T1"
            session = self.session(client, day, therapist=who)
            self.form(client, "WAI-SR", day, wai(*parts), session=session)

    def files(self) -> dict[str, str]:
        def lines(head: str, rows: list[str]) -> str:
            return "\n".join([head, *rows]) + "\n"

        return {
            "clients.csv": lines("client_id", sorted(self.clients)),
            "sessions.csv": lines(
                "session_id,client_id,therapist_id,episode_id,started_at,ended_at,"
                "timezone,status", self.sessions),
            "episodes.csv": lines(
                "episode_id,client_id,opened_on,closed_on,closure_reason", self.episodes),
            "measures.csv": lines(
                "administration_id,client_id,session_id,instrument,rater,administered_at,"
                "total_reported", self.measures),
            "measure_items.csv": lines("administration_id,item,value", self.items),
            "client_merges.csv": lines("old_client_id,new_client_id,merged_on", self.merges),
        }  # fmt: skip


def wai(goal: float, task: float, bond: float) -> dict[str, object]:
    """Return twelve whole answers whose subscale means are as asked (quarters)."""
    values: dict[str, object] = {}
    for part, mean in (("goal", goal), ("task", task), ("bond", bond)):
        left = round(4 * mean)
        for k, item in enumerate(WAI[part]):
            values[str(item)] = left // (4 - k)
            left -= left // (4 - k)
    return values


def even(*totals: float) -> list[tuple[float, float, float]]:
    return [(total, total, total) for total in totals]


@pytest.fixture(scope="module")
def night(new_home: Callable[[str], Home]) -> "Night":
    clinic = Clinic()
    clinic.series("worked", even(4.25, 4.25, 4.25, 3.50, 4.00))
    clinic.series("short", even(4.25, 3.0))
    clinic.series("steady", even(4, 4, 4, 4))
    clinic.series("open", even(4.25, 4.25, 4.25, 3.0))
    clinic.episodes.append("E2,open,2025-12-01,,")
    clinic.series("ended", even(4.25, 4.25, 4.25, 3.0))
    clinic.series("lost", even(4.25, 4.25, 4.25, 3.0, 3.0, 2.5, 3.0))
    clinic.series("late", even(4.25, 4.25, 4.25, 3.0, 3.0, 3.0, 3.0, 4.25))
    clinic.series("bond", [(4, 4, 4.5), (4, 4, 4.5), (4, 4, 4.5), (4, 3.75, 2)])
    clinic.series("cover", even(4.25, 4.25, 2.0, 4.25), ["T1", "T1", "T2", "T1"])
    clinic.series("twice", even(4.25, 4.25, 4.25, 3.0, 4.25, 3.0, 4.25))
    clinic.form("worked", "WAI-SR", "2026-01-01", {"1": 5}, rater="observer")

    for day in ("2026-01-01", "2026-04-01", "2026-06-30"):
        clinic.session("gap90", day)
    for day in ("2026-01-01", "2026-04-02"):
        clinic.session("gap91", day)
    clinic.session(
        "dst", "2025-11-02", zone="America/New_York", at="01:30", end="2025-11-02T02:15"
    )
    clinic.session("dst", "2026-03-08", zone="America/New_York", at="02:30")
    clinic.session(
        "evening", "2026-02-01", zone="America/Los_Angeles", at="20:00-08:00"
    )
    clinic.session("future", "2026-06-01")
    clinic.session("future", "2026-07-10")
    clinic.episodes.append("E1,reported,2026-01-01,2026-12-31,completed")
    clinic.clients.add("reported")
    clinic.session("reported", "2026-02-01", episode="E1")
    clinic.session("reported", "2026-02-08", "no_show")
    clinic.session("old", "2026-01-05")
    clinic.session("new", "2026-01-12")
    clinic.merges.append("old,new,2026-02-01")

    full = {str(k): 1 for k in range(1, 21)}
    clinic.form("pcl", "PCL-5", "2026-01-01", full)
    clinic.form("pcl4", "PCL-5", "2026-01-01", dict(list(full.items())[:16]))
    clinic.form("pcl5", "PCL-5", "2026-01-01", dict(list(full.items())[:15]))
    odd = {**full, "1": 9, "2": "1.5", "3": "n/a", "04": 1}
    clinic.form("odd", "pcl_5", "2026-01-01", odd)
    clinic.form("sum", "WAI-SR", "2026-01-01", {}, total="42")
    clinic.form("mean", "WAI-SR", "2026-01-01", {}, total="3.5")
    clinic.form("outside", "WAI-SR", "2026-01-01", {}, total="9")
    clinic.form("nothing", "WAI-SR", "2026-01-01", {})
    clinic.form("mood", "MOOD", "2026-01-01", {"1": 1})
    clinic.form("alias", "WAI-SRT", "2026-01-01", wai(4, 4, 4), rater="client")
    ten = {str(k): 4 for k in range(1, 11)}
    clinic.form("ten", "WAI-SRT", "2026-01-01", ten, rater="therapist")
    clinic.form("srs", "SRS", "2026-01-01", {"1": 91.5, "2": 90, "3": 88, "4": 92})
    clinic.form("wais", "WAI-S", "2026-01-01", {str(k): 7 for k in range(1, 13)})
    three = {k: v for k, v in wai(4, 4, 4).items() if k != "4"}
    clinic.form("three", "WAI-SR", "2026-01-01", three)
    two = {k: v for k, v in three.items() if k != "6"}
    clinic.form("two", "WAI-SR", "2026-01-01", two)

    home = new_home("spec")
    home.deliver("d1", clinic.files())
    home.run("ingest")
    home.run("build", "--as-of", AS_OF)
    return Night(home)


class Night:
    """The candidate of the build, asked by the clients' own names."""

    def __init__(self, home: Home) -> None:
        from rapport.privacy import KeyRing
        from rapport.settings import load_settings

        self.keys = KeyRing.of(load_settings({"RAPPORT_HOME": str(home.path)}))
        self.con = duckdb.connect(
            home.path / "warehouse" / "candidate.duckdb", read_only=True
        )

    def of(self, client: str, sql: str) -> list[tuple]:
        key = self.keys.row_key("client", "canonical", client)
        return self.con.execute(sql.replace("@", f"'{key}'")).fetchall()

    def rupture(self, client: str) -> list[tuple]:
        return self.of(client, "select onset_session_number, round(baseline, 4), strength,"
                       " lead_component, shape, status, sessions_to_repair"
                       " from alliance.fct_rupture where client_key = @ order by 1")  # fmt: skip

    def pattern(self, client: str) -> str:
        ((pattern,),) = self.of(client, "select pattern from alliance.rupture_cohort join"
                                " core.fct_episode using (episode_key) where client_key = @")  # fmt: skip
        return pattern

    def total(self, client: str) -> tuple:
        (row,) = self.of(client, "select score, n_answered, n_items, score_origin,"
                         " invalid_reason from core.fct_measure_score"
                         " where client_key = @ and subscale = 'total'")  # fmt: skip
        return row


# --- D. ruptures --------------------------------------------------------------------


def test_the_worked_example_is_a_resolved_v(night: Night) -> None:
    """D2: 4.25 4.25 4.25 3.50 4.00, rupture at the fourth, repaired at the fifth."""
    assert night.rupture("worked") == [
        (4, 4.25, "possible", "goal", "v", "resolved", 1)
    ]
    ((ratio,),) = night.of(
        "worked", "select drop_ratio from alliance.fct_rupture where client_key = @"
    )
    assert ratio == pytest.approx(0.75 / 0.6136)
    assert night.pattern("worked") == "repaired"


def test_too_few_scores_are_a_group_of_their_own(night: Night) -> None:
    assert night.pattern("short") == "insufficient"
    assert night.pattern("steady") == "no_rupture"


def test_a_rupture_without_three_further_scores_is_pending(night: Night) -> None:
    assert night.rupture("open")[0][5] == "pending"
    assert night.pattern("open") == "pending"


def test_a_rupture_open_at_the_close_stays_so(night: Night) -> None:
    assert night.rupture("ended")[0][4:6] == ("l", "unresolved_at_close")
    assert night.pattern("ended") == "unrepaired"


def test_three_further_scores_without_repair_are_unresolved(night: Night) -> None:
    assert night.rupture("lost") == [
        (4, 4.25, "likely", "goal", "l", "unresolved", None)
    ]
    ((trough,),) = night.of(
        "lost", "select trough_score from alliance.fct_rupture where client_key = @"
    )
    assert trough == pytest.approx(2.5)


def test_a_later_repair_is_late(night: Night) -> None:
    assert night.rupture("late")[0][4:] == ("u", "late_repair", 4)


def test_the_component_that_dropped_most_leads(night: Night) -> None:
    assert night.rupture("bond")[0][3] == "bond"


def test_a_covering_therapist_starts_another_series(night: Night) -> None:
    assert night.rupture("cover") == []


def test_a_repair_score_counts_in_the_next_baseline(night: Night) -> None:
    assert [(r[0], r[1]) for r in night.rupture("twice")] == [(4, 4.25), (6, 4.25)]


def test_a_session_inside_a_rupture_is_marked_up_to_its_repair(night: Night) -> None:
    rows = night.of("worked", "select session_number, in_open_rupture, round(baseline, 4)"
                    " from alliance.fct_alliance_session join core.fct_session"
                    " using (session_key, session_number) where client_key = @ order by 1")  # fmt: skip
    assert rows == [(1, False, None), (2, False, None), (3, False, 4.25),
                    (4, True, 4.25), (5, False, 4.25)]  # fmt: skip


# --- B. sessions and episodes -------------------------------------------------------


def test_ninety_days_are_one_episode_and_ninety_one_are_two(night: Night) -> None:
    sql = "select opened_on::varchar, episode_status, n_attended from core.fct_episode where client_key = @ order by 1"
    assert night.of("gap90", sql) == [("2026-01-01", "open", 3)]
    assert night.of("gap91", sql) == [
        ("2026-01-01", "closed", 1),
        ("2026-04-02", "open", 1),
    ]


def test_a_time_that_came_twice_is_its_first_occurrence(night: Night) -> None:
    sql = "select started_at::varchar, session_date::varchar from core.fct_session where client_key = @ order by 1"
    assert night.of("dst", sql) == [
        ("2025-11-02 05:30:00", "2025-11-02"),
        ("2026-03-08 07:30:00", "2026-03-08"),
    ]


def test_the_session_date_is_local(night: Night) -> None:
    sql = "select started_at::varchar, session_date::varchar from core.fct_session where client_key = @"
    assert night.of("evening", sql) == [("2026-02-02 04:00:00", "2026-02-01")]


def test_a_session_after_the_as_of_date_has_no_number(night: Night) -> None:
    sql = "select session_number from core.fct_session where client_key = @ order by session_date"
    assert night.of("future", sql) == [(1,), (None,)]


def test_a_close_in_the_future_is_not_yet_published(night: Night) -> None:
    sql = ("select episode_status, closed_on, closure_reason, n_attended, n_missed, dropout"
           " from core.fct_episode where client_key = @")  # fmt: skip
    assert night.of("reported", sql) == [("open", None, None, 1, 1, None)]


def test_a_merged_client_is_one_client(night: Night) -> None:
    assert night.of("old", "select 1 from core.dim_client where client_key = @") == []
    sql = "select session_number from core.fct_session where client_key = @ order by 1"
    assert night.of("new", sql) == [(1,), (2,)]


# --- A. scoring ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("pcl", (20.0, 20, 20, "items", None)),
        ("pcl4", (20.0, 16, 20, "prorated", None)),
        ("pcl5", (None, 15, 20, "prorated", "too_many_missing")),
        ("odd", (20.0, 17, 20, "prorated", None)),
        ("sum", (3.5, 0, 12, "reported", None)),
        ("mean", (3.5, 0, 12, "reported", None)),
        ("outside", (None, 0, 12, "reported", "reported_out_of_range")),
        ("nothing", (None, 0, 12, "items", "no_items")),
        ("mood", (None, 0, None, None, "unknown_instrument")),
        ("alias", (None, 0, None, None, "wrong_rater")),
        ("ten", (None, 10, 12, "prorated", "form_mismatch")),
        ("srs", (36.15, 4, 4, "items", None)),
        ("wais", (6.0, 12, 12, "items", None)),
        ("three", (4.0, 11, 12, "prorated", None)),
        ("two", (None, 10, 12, "prorated", "subscale_invalid")),
    ],
)
def test_a_total_is_scored_by_its_rule(
    night: Night, client: str, expected: tuple
) -> None:
    """A4: items, proration, reported totals, and each reason why there is no score."""
    score, *rest = night.total(client)
    assert tuple(rest) == expected[1:]
    assert score == (None if expected[0] is None else pytest.approx(expected[0]))


def test_wai_s_reverses_two_goal_and_task_items(night: Night) -> None:
    sql = ("select subscale, score from core.fct_measure_score where client_key = @"
           " and subscale <> 'total' order by 1")  # fmt: skip
    assert night.of("wais", sql) == [("bond", 7.0), ("goal", 4.0), ("task", 7.0)]
