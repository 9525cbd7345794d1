"""The tables of a microdata package, column by column (privacy.md C3), as data.

Everything else reads this: what a request may name, what the build selects, what the
codebook says, what ``extract verify`` lets pass. What is not named here does not leave.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache

from rapport.settings import METHODS, PROJECT_ROOT

MICRODATA = ("clients", "episodes", "sessions", "alliance", "ruptures", "outcomes")
# In the order of the level table: the lattice's ties are broken in it (C5).
QUASI_IDENTIFIERS = (
    "index_year",
    "age_band",
    "sex",
    "race_group",
    "state",
    "n_sessions_band",
    "dx_group",
)
SENSITIVE = ("pattern", "clinical_class", "dropout")
MASKED, MISSING, OTHER = "masked", "missing", "other"
OTHER_UNITS = "other units"
PSEUDONYM = r"^[A-Z2-7]{16}$"
MAX_SESSION = 26
DURATION_BANDS = ("0-29", "30-44", "45-59", "60-89", "90+")
SESSION_BANDS = ("1-2", "3-5", "6-11", "12-23", "24-51", "52+")
AGE_BANDS = (*(f"{low}-{low + 9}" for low in range(0, 90, 10)), "90+")


@dataclass(frozen=True)
class Column:
    """One column of a package.

    Attributes:
        name: its name in the package.
        type: string, integer, number, boolean or date.
        kind: key, place (in time), qi, category, score, number or date.
        description: one sentence for the codebook.
        unit: what a number counts, or nothing.
        source: the published column it comes from.
        code_list: the list whose codes it holds.
        values: its codes, where they are not a code list.
        profiles: those that hold it; empty for all of microdata.
    """

    name: str
    type: str
    kind: str
    description: str
    unit: str = ""
    source: str = ""
    code_list: str = ""
    values: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """The closed list of its values; empty for numbers, dates and pseudonyms."""
        return _code_list(self.code_list) if self.code_list else self.values


@cache
def _code_list(name: str) -> tuple[str, ...]:
    path = PROJECT_ROOT / "dbt_project" / "seeds" / "code_list.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(r["code"] for r in csv.DictReader(file) if r["column"] == name)


def _column(
    name: str,
    type_: str,
    kind: str,
    description: str,
    *,
    unit: str = "",
    source: str = "",
) -> Column:
    return Column(name, type_, kind, description, unit, source)


_CLIENT = _column(
    "client_id", "string", "key", "Pseudonym of the person in this study."
)
_EPISODE = _column(
    "episode_id", "string", "key", "Pseudonym of the episode of care in this study."
)
_WEEK = _column(
    "week_index",
    "integer",
    "place",
    "Whole weeks since the person's first attended session of the index episode.",
    unit="weeks",
    source="core.fct_session.session_date",
)
_SESSION = _column(
    "session_number",
    "integer",
    "key",
    "Number of the attended session within the episode; empty for one not attended.",
    source="core.fct_session.session_number",
)
_INSTRUMENT = _column(
    "instrument", "string", "key", "Questionnaire, by its code (rapport's registry)."
)
_ZIP3 = replace(
    _column(
        "zip3",
        "string",
        "qi",
        "First three digits of the postal code where over 20,000 people live, else 000.",
        source="core.dim_client.zip3",
    ),
    profiles=("expert", "limited"),
)


def _dated(name: str, description: str, source: str) -> Column:
    return Column(
        name, "date", "date", description, source=source, profiles=("limited",)
    )


def _score(rater: str, part: str) -> Column:
    who = {"client": "Client's", "therapist": "Therapist's", "gap": "Therapist minus"}
    said = f"{who[rater]} {'client, ' if rater == 'gap' else ''}alliance {part} score."
    name = f"{rater}_{part}"
    return Column(
        name, "number", "score", said, unit="points of the instrument",
        source=f"alliance.fct_alliance_session.{name}",
    )  # fmt: skip


SCORES = tuple(
    f"{rater}_{part}"
    for rater in ("client", "therapist", "gap")
    for part in ("total", "goal", "task", "bond")
)

TABLES: dict[str, tuple[Column, ...]] = {
    "clients": (
        _CLIENT,
        Column("index_year", "string", "qi", "Calendar year of the index date.",
               source="core.fct_session.session_date"),
        Column("age_band", "string", "qi", "Age in the index year, in years, in bands.",
               unit="years", source="core.dim_client.birth_year"),
        Column("sex", "string", "qi", "Sex as recorded.", source="core.dim_client.sex",
               code_list="sex"),
        Column("race_group", "string", "qi", "Race, or hispanic where ethnicity says so.",
               source="core.dim_client.race_group",
               values=("white", "black", "asian", "native", "pacific", "hispanic",
                       "other", "multiple", "unknown")),
        Column("state", "string", "qi", "State of residence, or its region.",
               source="core.dim_client.state"),
        _ZIP3,
        Column("n_sessions_band", "string", "qi",
               "Attended sessions of the person within the period, in bands.",
               unit="sessions", source="core.fct_session.status"),
        Column("dx_group", "string", "qi",
               "Primary diagnosis at index, as a block of the ICD-10.",
               source="core.fct_diagnosis.code"),
        Column("trauma_focused", "boolean", "category",
               "Whether the index episode is trauma-focused.",
               source="core.fct_episode.trauma_focused"),
        Column("clinic_group", "string", "category",
               "Pseudonym of the clinic of the index episode, or other units.",
               source="core.fct_episode.clinic_key", profiles=("expert",)),
        Column("age", "string", "date", "Age in years in the index year; 90+ from 90.",
               unit="years", source="core.dim_client.birth_year", profiles=("limited",)),
        _dated("index_date", "First attended session of the index episode.",
               "core.fct_session.session_date"),
    ),
    "episodes": (
        _EPISODE,
        _CLIENT,
        Column("episode_no", "integer", "key",
               "1 for the index episode, 2 for the next, 3 for any later one.",
               source="core.fct_episode.opened_on"),
        Column("open_week", "integer", "place", "Week of opening; empty outside the span.",
               unit="weeks", source="core.fct_episode.opened_on"),
        Column("close_week", "integer", "place", "Week of closing; empty outside the span.",
               unit="weeks", source="core.fct_episode.closed_on"),
        Column("closure_reason", "string", "category", "Why the episode closed.",
               source="core.fct_episode.closure_reason", code_list="closure_reason"),
        Column("dropout", "boolean", "category",
               "Whether the client ended without agreement; empty while not known.",
               source="core.fct_episode.dropout"),
        Column("treatment_approach", "string", "category", "Treatment approach.",
               source="core.fct_episode.treatment_approach",
               code_list="treatment_approach"),
        Column("pattern", "string", "category",
               "What the alliance shows by the request's rupture method.",
               source="alliance.rupture_cohort.pattern",
               values=("insufficient", "no_rupture", "repaired", "pending",
                       "unrepaired")),
        _dated("opened_on", "Day of opening.", "core.fct_episode.opened_on"),
        _dated("closed_on", "Day of closing.", "core.fct_episode.closed_on"),
    ),
    "sessions": (
        _CLIENT,
        _EPISODE,
        _SESSION,
        _WEEK,
        Column("status", "string", "category", "What became of the session.",
               source="core.fct_session.status", code_list="status"),
        Column("modality", "string", "category", "Individual, couple, family or group.",
               source="core.fct_session.modality", code_list="modality"),
        Column("delivery_mode", "string", "category", "In person, by video, by phone.",
               source="core.fct_session.delivery_mode", code_list="delivery_mode"),
        Column("duration_band", "string", "category", "Length, in bands.",
               unit="minutes", source="core.fct_session.duration_minutes",
               values=DURATION_BANDS),
        _dated("session_date", "Day of the session.", "core.fct_session.session_date"),
    ),
    "alliance": (
        _CLIENT,
        _EPISODE,
        _SESSION,
        _WEEK,
        replace(_INSTRUMENT, source="alliance.fct_alliance_session.instrument"),
        *(_score(*name.split("_")) for name in SCORES),
        Column("band", "string", "category", "Band of the client's total.",
               source="alliance.fct_alliance_session.band",
               values=("weak", "moderate", "strong")),
        _dated("session_date", "Day of the session.",
               "alliance.fct_alliance_session.session_date"),
    ),
    "ruptures": (
        _CLIENT,
        _EPISODE,
        Column("method", "string", "key", "Method that found the rupture.",
               source="alliance.fct_rupture.method", values=METHODS),
        Column("onset_session_number", "integer", "key", "Session at which it began.",
               source="alliance.fct_rupture.onset_session_number"),
        Column("onset_week", "integer", "place", "Week in which it began.",
               unit="weeks", source="alliance.fct_rupture.onset_date"),
        Column("strength", "string", "category", "How clear the drop is.",
               source="alliance.fct_rupture.strength", values=("possible", "likely")),
        Column("lead_component", "string", "category", "Component that fell first.",
               source="alliance.fct_rupture.lead_component",
               values=("goal", "task", "bond", "none")),
        Column("shape", "string", "category", "Course of the scores: v, u or l.",
               source="alliance.fct_rupture.shape", values=("v", "u", "l")),
        Column("status", "string", "category", "Whether and when it was repaired.",
               source="alliance.fct_rupture.status",
               values=("pending", "resolved", "late_repair", "unresolved",
                       "unresolved_at_close")),
        Column("sessions_to_repair", "integer", "number", "Sessions from onset to repair.",
               unit="sessions", source="alliance.fct_rupture.sessions_to_repair"),
        Column("drop_ratio", "number", "number",
               "Drop over the instrument's reliable change, one decimal.",
               source="alliance.fct_rupture.drop_ratio"),
        _dated("onset_date", "Day of onset.", "alliance.fct_rupture.onset_date"),
    ),
    "outcomes": (
        _CLIENT,
        _EPISODE,
        replace(_INSTRUMENT, source="outcomes.fct_episode_outcome.instrument"),
        Column("first_score", "number", "score", "First score of the episode.",
               unit="points of the instrument",
               source="outcomes.fct_episode_outcome.first_score"),
        Column("last_score", "number", "score", "Last score of the episode.",
               unit="points of the instrument",
               source="outcomes.fct_episode_outcome.last_score"),
        Column("change", "number", "score", "Last minus first score.",
               unit="points of the instrument",
               source="outcomes.fct_episode_outcome.change"),
        Column("reliable_change", "string", "category", "Change against reliable change.",
               source="outcomes.fct_episode_outcome.reliable_change",
               values=("improved", "no_change", "deteriorated")),
        Column("clinical_class", "string", "category",
               "Change against reliable change and cut-off.",
               source="outcomes.fct_episode_outcome.clinical_class",
               values=("recovered", "improved", "unchanged", "deteriorated",
                       "not_at_risk", "insufficient")),
    ),
}  # fmt: skip

# What makes a row one; the rows of a file are sorted by all their columns, these first.
PRIMARY_KEYS: dict[str, tuple[str, ...]] = {
    "clients": ("client_id",),
    "episodes": ("episode_id",),
    "outcomes": ("episode_id", "instrument"),
}
ALWAYS = ("key",)


def columns_of(
    table: str, profile: str, wanted: tuple[str, ...] | None = None
) -> tuple[Column, ...]:
    """List the columns of a table that a profile holds, cut to those that are wanted."""
    return tuple(
        column
        for column in TABLES[table]
        if (not column.profiles or profile in column.profiles)
        and (wanted is None or column.kind in ALWAYS or column.name in wanted)
    )


def is_recoded(column: Column) -> bool:
    """Tell whether rare values of a column become ``other`` (C5.5)."""
    return column.kind == "category" or column.name in ("instrument", "method")


def _group_of(
    name: str,
    description: str,
    source: str,
    *,
    code_list: str = "",
    values: tuple[str, ...] = (),
) -> Column:
    return Column(
        name,
        "string",
        "group",
        description,
        source=source,
        code_list=code_list,
        values=values,
    )


def _public(group: Column) -> tuple[Column, ...]:
    return (
        Column("period", "string", "group", "Calendar year of the index date, or total.",
               source="core.fct_session.session_date"),
        Column("place", "string", "group", "State of residence, or total.",
               source="core.dim_client.state"),
        group,
        Column("n_persons", "integer", "count",
               "Persons by their index episode; empty when hidden.", unit="persons"),
        Column("share", "number", "count",
               "Share of the persons of the period and place; empty when hidden.",
               unit="0 to 1"),
    )  # fmt: skip


# A person counts once a table, by the index episode, so that parts add up to totals.
PUBLIC: dict[str, tuple[Column, ...]] = {
    "qi_endings": _public(
        _group_of(
            "closure_reason",
            "Why the index episode closed; open while it has not.",
            "core.fct_episode.closure_reason",
            code_list="closure_reason",
        )
    ),
    "qi_early_alliance": _public(
        _group_of(
            "band",
            "Band of the early alliance; none without a score.",
            "outcomes.fct_episode_outcome.early_alliance_band",
            values=("weak", "moderate", "strong", "none"),
        )
    ),
    "qi_outcome_monthly": _public(
        _group_of(
            "reliable_change",
            "Change on the alphabetically first instrument; none without two scores.",
            "outcomes.fct_episode_outcome.reliable_change",
            values=("improved", "no_change", "deteriorated", "none"),
        )
    ),
}
ALL_TABLES = {**TABLES, **PUBLIC}
