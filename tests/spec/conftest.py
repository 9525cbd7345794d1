"""What the chapters share: a clinic drawn in text, one night over all of its cases.

A chapter draws its cases beside its tests: ``@given("4.25 4.25 3.5")`` makes a client of
that test's own, ``shown`` asks the tables about it. A case that needs more than a series
is drawn by a function, ``@given(draw)``, or in the chapter's ``cases(clinic)``. All
chapters of ``toc.py`` share one build, whichever tests are chosen.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from types import ModuleType

import duckdb
import pytest

from conftest import Home
from spec.toc import CHAPTERS

AS_OF = "2026-06-30"
LAST_SESSION = date(2026, 6, 22)
WAI_SR = {"goal": (4, 6, 8, 11), "task": (1, 2, 10, 12), "bond": (3, 5, 7, 9)}
WAI_S = {"goal": (4, 6, 10, 11), "task": (1, 2, 8, 12), "bond": (3, 5, 7, 9)}
WAI_S_REVERSED = (4, 10)
FORM_ITEMS = {
    "PSQ": ("P_TENSION", "P_INTENSITY", "P_RESOLVED"),
    "RAP-T": ("T_FRUSTRATION", "T_EFFORT", "T_HELPLESS", "T_SELFDOUBT", "T_GOALS",
              "T_TENSION", "T_INTENSITY", "T_RESOLVED"),
    "RAP-S": ("S_DESTIGMATIZE", "S_COMPASSION", "S_COCREATE"),
}  # fmt: skip
SUM_ITEMS = {
    "PCL-5": tuple(str(k) for k in range(1, 21)),
    "PHQ-9": tuple(str(k) for k in range(1, 10)),
    "GAD-7": tuple(str(k) for k in range(1, 8)),
    "CORE-10": tuple(str(k) for k in range(1, 11)),
    "OQ-45": tuple(str(k) for k in range(1, 46)),
    "ORS": ("1", "2", "3", "4"),
    "ITQ": tuple(f"{part}{k}" for part in "PC" for k in range(1, 7)),
}
SUM_REVERSED = {
    "CORE-10": ("2", "3"),
    "OQ-45": ("1", "12", "13", "20", "21", "24", "31", "37", "43"),
}


class Clinic:
    """Canonical rows of many cases, one client a case."""

    def __init__(self, *, is_later: bool = False) -> None:
        # What a later delivery brings: corrections, deletions, late rows.
        self.later = self if is_later else Clinic(is_later=True)
        self.clients: set[str] = set()
        self.sessions: list[str] = []
        self.episodes: list[str] = []
        self.measures: list[str] = []
        self.items: list[str] = []
        self.merges: list[str] = []
        self.goals: list[str] = []
        self.therapists: list[str] = []
        self.clinics: list[str] = []

    def session(self, client: str, day: str, status: str = "attended", *,
                therapist: str = "T1", name: str | None = None, episode: str = "",
                zone: str = "", at: str = "10:00", end: str = "", clinic: str = "",
                approach: str = "", updated: str = "", deleted: str = "") -> str:  # fmt: skip
        self.clients.add(client)
        id_ = name or f"{client}-s{len(self.sessions)}"
        self.sessions.append(
            f"{id_},{client},{therapist},{episode},{day}T{at},{end},{zone},{status},"
            f"{clinic},{approach},{updated},{deleted}"
        )
        return id_

    def sessions_of(self, client: str) -> list[str]:
        """Return the client's sessions so far, in the order they were drawn."""
        return [
            row.split(",")[0] for row in self.sessions if row.split(",")[1] == client
        ]

    def goal(self, client: str, rater: str, domain: str, day: str, status: str = "active",
             *, name: str = "", episode: str = "") -> str:  # fmt: skip
        self.clients.add(client)
        id_ = f"{client}-{name or domain}"
        self.goals.append(f"{id_},{client},{episode},{day},{rater},{domain},{status}")
        return id_

    def episode(self, client: str, opened: str, closed: str = "", reason: str = "", *,
                therapist: str = "", trauma: str = "", name: str | None = None) -> str:  # fmt: skip
        self.clients.add(client)
        id_ = name or f"{client}-e{len(self.episodes)}"
        self.episodes.append(
            f"{id_},{client},{opened},{closed},{reason},{therapist},{trauma}"
        )
        return id_

    def form(self, client: str, instrument: str, day: str, values: dict[str, object],
             *, rater: str = "client", session: str = "", total: str = "",
             therapist: str = "", name: str | None = None, version: str = "",
             updated: str = "", deleted: str = "") -> str:  # fmt: skip
        self.clients.add(client)
        id_ = name or f"{client}-m{len(self.measures)}"
        self.measures.append(
            f"{id_},{client},{session},{therapist},{instrument},{rater},{day},{total},"
            f"{version},{updated},{deleted}"
        )
        self.items += [f"{id_},{item},{value}" for item, value in values.items()]
        return id_

    def series(self, client: str, drawing: str, instrument: str = "WAI-SR") -> None:
        """Weekly attended sessions, the last one a week before the as-of date.

        A mark for each session: ``4.25`` is a form with that total (and goal, task and
        bond alike), ``4/3.75/2`` one with that goal, task and bond (on the SRS in cm,
        perhaps with overall), ``=3.6364`` a reported total, ``-`` no form. ``@T2`` after
        a mark names the therapist, who is T1 else. On a PSQ ``1:4:2`` are tension,
        intensity and resolution, on the RAP-T and RAP-S likewise their items in order;
        an empty one is not answered. On an outcome scale the mark is the total.
        """
        marks = drawing.split()
        for n, mark in enumerate(marks):
            day = str(LAST_SESSION - timedelta(weeks=len(marks) - 1 - n))
            what, _, therapist = mark.partition("@")
            session = self.session(client, day, therapist=therapist or "T1")
            if what.startswith("="):
                self.form(client, instrument, day, {}, session=session, total=what[1:])
            elif what != "-":
                self.form(client, instrument, day, answers(instrument, what),
                          rater="therapist" if instrument in ("RAP-T", "RAP-S") else
                          "client", session=session)  # fmt: skip

    def files(self) -> dict[str, str]:
        def lines(head: str, rows: list[str]) -> str:
            return "\n".join([head, *rows]) + "\n"

        return {
            "clients.csv": lines("client_id", sorted(self.clients)),
            "sessions.csv": lines(
                "session_id,client_id,therapist_id,episode_id,started_at,ended_at,"
                "timezone,status,clinic_id,treatment_approach,updated_at,deleted",
                self.sessions),
            "episodes.csv": lines(
                "episode_id,client_id,opened_on,closed_on,closure_reason,therapist_id,"
                "trauma_focused", self.episodes),
            "measures.csv": lines(
                "administration_id,client_id,session_id,therapist_id,instrument,rater,"
                "administered_at,total_reported,version,updated_at,deleted",
                self.measures),
            "measure_items.csv": lines("administration_id,item,value", self.items),
            "client_merges.csv": lines("old_client_id,new_client_id,merged_on", self.merges),
            "goals.csv": lines(
                "goal_id,client_id,episode_id,recorded_at,rater,domain,status",
                self.goals),
            "therapists.csv": lines("therapist_id,clinic_id", self.therapists),
            "clinics.csv": lines("clinic_id,timezone", self.clinics),
        }  # fmt: skip


def answers(instrument: str, mark: str) -> dict[str, object]:
    """Return the item values of a drawn form."""
    if instrument in FORM_ITEMS:
        return dict(zip(FORM_ITEMS[instrument], mark.split(":"), strict=False))
    if instrument in SUM_ITEMS:
        values = summing_to(float(mark), SUM_ITEMS[instrument])
        reversed_ = SUM_REVERSED.get(instrument, ())
        return {k: 4 - v if k in reversed_ else v for k, v in values.items()}
    parts = [float(part) for part in mark.split("/")]
    if instrument == "SRS":
        goal, task, bond, overall = (
            [parts[0] / 4] * 4 if len(parts) == 1 else (*parts, min(parts))[:4]
        )
        return {"1": _mm(bond), "2": _mm(goal), "3": _mm(task), "4": _mm(overall)}
    goal, task, bond = parts * 3 if len(parts) == 1 else parts
    return wai(goal, task, bond, instrument)


def summing_to(total: float, items: tuple[str, ...]) -> dict[str, float]:
    """Return whole answers with the given sum, spread evenly; ORS answers in mm."""
    if items == SUM_ITEMS["ORS"]:
        return dict.fromkeys(items, round(10 * total / 4, 6))
    left = int(total)
    values: dict[str, float] = {}
    for k, item in enumerate(items):
        values[item] = left // (len(items) - k)
        left -= left // (len(items) - k)
    return values


def _mm(centimetres: float) -> float:
    return round(10 * centimetres, 6)


def wai(
    goal: float, task: float, bond: float, instrument: str = "WAI-SR"
) -> dict[str, object]:
    """Return twelve whole answers whose subscale means are as asked (quarters)."""
    items = WAI_SR if instrument == "WAI-SR" else WAI_S
    reversed_ = () if instrument == "WAI-SR" else WAI_S_REVERSED
    values: dict[str, object] = {}
    for part, mean in (("goal", goal), ("task", task), ("bond", bond)):
        left = round(4 * mean)
        for k, item in enumerate(items[part]):
            value = left // (4 - k)
            left -= value
            values[str(item)] = 8 - value if item in reversed_ else value
    return values


Draw = Callable[[Clinic, str], None]


@dataclass(frozen=True)
class Given:
    """What a test's client looks like, in words for the page and as rows."""

    drawing: str
    draw: Draw


def given(
    drawing: str | Draw,
    instrument: str = "WAI-SR",
    *,
    name: str = "",
    closed: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Draw a client of the test's own; several, by stacking, are told apart by name.

    Args:
        drawing: a series, as ``Clinic.series`` reads it, or a function that draws.
        instrument: what the series is filled in on.
        name: what ``shown[name]`` is asked for.
        closed: the episode is a reported one that ended after the last session.
    """

    def draw(clinic: Clinic, client: str) -> None:
        assert isinstance(drawing, str)
        if closed:
            clinic.episode(client, "2025-06-01", "2026-06-25", "completed")
        clinic.series(client, drawing, instrument)

    said = drawing if isinstance(drawing, str) else ""
    if said:
        said = f"{instrument}: {said}" + (", closed" if closed else "")
    case = Given(said, draw if isinstance(drawing, str) else drawing)

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        test.given = {name: case, **getattr(test, "given", {})}
        return test

    return mark


def chapters() -> list[ModuleType]:
    """Import the chapters in their order."""
    return [importlib.import_module(f"spec.{name}") for name in CHAPTERS]


def drawn_clinic() -> Clinic:
    """Draw every case of every chapter."""
    clinic = Clinic()
    for chapter in chapters():
        if hasattr(chapter, "cases"):
            chapter.cases(clinic)
        for test in list(vars(chapter).values()):
            for name, case in getattr(test, "given", {}).items():
                case.draw(clinic, client_of(test, name))
    return clinic


def client_of(test: Callable[..., None], name: str = "") -> str:
    """Name the client of a test."""
    said = f"{test.__module__.rpartition('.')[2]}:{test.__name__}:{name}"
    return said.replace(",", "").replace(" ", "-")


class Night:
    """The candidate of the build, asked by the clients' own names."""

    def __init__(self, home: Home) -> None:
        from rapport.privacy import KeyRing
        from rapport.settings import load_settings

        self.home = home
        self.keys = KeyRing.of(load_settings({"RAPPORT_HOME": str(home.path)}))
        self.reopen()

    def reopen(self) -> None:
        """Open the candidate again, after another program had it."""
        self.con = duckdb.connect(
            self.home.path / "warehouse" / "candidate.duckdb", read_only=True
        )

    def of(self, client: str, sql: str) -> list[tuple]:
        """Ask about one client: ``@`` in the query is its key."""
        key = self.keys.row_key("client", "canonical", client)
        return self.con.execute(sql.replace("@", f"'{key}'")).fetchall()

    def finding(self, name: str) -> int:
        """Return how many rows the build saw and did not count, by the finding's name."""
        ((n_rows,),) = self.con.execute(
            "select sum(n_rows)::bigint from ops.data_finding where finding = ?", [name]
        ).fetchall()
        return n_rows

    def total(self, client: str) -> tuple:
        (row,) = self.of(client, "select score, n_answered, n_items, score_origin,"
                         " invalid_reason from core.fct_measure_score"
                         " where client_key = @ and subscale = 'total'")  # fmt: skip
        return row


@dataclass(frozen=True)
class Shown:
    """What the tables show of one test's client."""

    night: Night
    test: Callable[..., None]
    name: str = ""

    def __getitem__(self, name: str) -> "Shown":
        return Shown(self.night, self.test, name)

    @property
    def client(self) -> str:
        return client_of(self.test, self.name)

    def of(self, sql: str) -> list[tuple]:
        known = self.night.of(
            self.client, "select 1 from core.dim_client where client_key = @"
        )
        assert known, "the test has drawn no such client"
        return self.night.of(self.client, sql)

    def ruptures(self, method: str, *columns: str) -> list[tuple]:
        """Return columns of the client's ruptures by a method, in onset order."""
        return self.of(
            f"select {', '.join(columns)} from alliance.fct_rupture where client_key = @"
            f" and method = '{method}' order by instrument, onset_session_number"
        )

    def cohort(self, method: str, *columns: str) -> tuple:
        """Return columns of the cohort row of the client's only episode."""
        (row,) = self.of(
            f"select {', '.join(columns)} from alliance.rupture_cohort"
            " join core.fct_episode using (episode_key)"
            f" where client_key = @ and method = '{method}'"
        )
        return row

    def sessions(self, *columns: str) -> list[tuple]:
        """Return columns of the client's alliance sessions, in order."""
        return self.of(
            f"select {', '.join(columns)} from alliance.fct_alliance_session as alliance"
            " where session_key in (select session_key from core.fct_session"
            " where client_key = @) order by instrument, session_number"
        )


@pytest.fixture(scope="session")
def night(new_home: Callable[[str], Home]) -> Iterator[Night]:
    """Deliver and build every case of every chapter once."""
    home = new_home("spec")
    clinic = drawn_clinic()
    home.deliver("d1", clinic.files())
    home.deliver("d2", clinic.later.files())
    home.run("ingest")
    home.run("build", "--as-of", AS_OF)
    night = Night(home)
    yield night
    night.con.close()


@pytest.fixture
def shown(night: Night, request: pytest.FixtureRequest) -> Shown:
    """Show the tables for the client that the test was given."""
    return Shown(night, request.function)
