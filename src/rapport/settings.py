"""Settings: one typed object from defaults, ``rapport.toml`` and the environment.

``RAPPORT_<SECTION>__<NAME>`` overrides a value of the file. An unknown or invalid
setting stops the program (exit 2) with every problem at once. Only this module reads
the environment. The clinical settings and their ranges are measurement.md, section J.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from rapport.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
SOURCE_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,40}$")
_ENV_PREFIX = "RAPPORT_"
_PASSPHRASE = "RAPPORT_VAULT_PASSPHRASE"
# dbt scrubs what is named so from whatever it writes.
_DBT_KEY = "DBT_ENV_SECRET_RAPPORT_KEY"
_ENV_NOT_SETTINGS = {"RAPPORT_HOME", _PASSPHRASE}
RECORDED = "process_changes.toml"


@dataclass(frozen=True)
class Retired:
    """A setting of an earlier version: its new name, or none, and why."""

    heir: str | None
    why: str


# Settings that were renamed or taken away, by their whole old name: each is told with its
# heir, and `rapport upgrade` writes a copy with the new names. None so far.
RETIRED: dict[str, Retired] = {}

Method = Literal[
    "default_rc3",
    "adjacent_rci",
    "v_shape_sd",
    "control_chart_l1",
    "control_chart_l2",
    "control_chart_l3",
    "abs_drop",
    "prior_mean_z",
    "gumz_decline",
    "sudden_drop",
    "psq_direct",
    "srs_concern",
]
METHODS: tuple[Method, ...] = get_args(Method)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("not an IANA time zone name, such as America/New_York")
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]


@dataclass(frozen=True)
class WeakerWhen:
    """Marks a setting that guards something: moved this way, its rule holds less.

    Each such move is an entry of the audit log (privacy.md A4). ``longer`` is a list that
    gains a member, ``other`` any change at all; ``kept_longer`` and ``kept_shorter`` are
    days of which 0 keeps for good.
    """

    moved: Literal[
        "higher", "lower", "longer", "false", "other", "kept_longer", "kept_shorter"
    ]

    def is_weaker(self, now: Any, before: Any) -> bool:
        """Tell whether a value guards less than the one before."""
        if self.moved == "higher":
            return bool(now > before)
        if self.moved == "lower":
            return bool(now < before)
        if self.moved == "kept_longer":
            return bool((now or math.inf) > (before or math.inf))
        if self.moved == "kept_shorter":
            return bool((now or math.inf) < (before or math.inf))
        if self.moved == "longer":
            return bool(set(now) - set(before))
        if self.moved == "false":
            return bool(before and not now)
        return bool(now != before)


_HIGHER, _LOWER = WeakerWhen("higher"), WeakerWhen("lower")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Episodes(_Section):
    """How sessions become episodes (measurement.md B5)."""

    gap_days: int = Field(90, ge=14, le=365)


class Link(_Section):
    """How a form finds its session (measurement.md B8)."""

    window_days: int = Field(3, ge=0, le=14)


class Alliance(_Section):
    """Primary instrument and bands (measurement.md C)."""

    primary_instrument: Literal["auto", "WAI-SR", "WAI-S", "SRS"] = "auto"
    band_weak_below: float = Field(3.0, ge=1, le=5)
    band_strong_from: float = Field(4.0, ge=1, le=5)

    @model_validator(mode="after")
    def _weak_is_below_strong(self) -> Alliance:
        if self.band_weak_below >= self.band_strong_from:
            raise ValueError("band_weak_below must be less than band_strong_from")
        return self


def _holds_default(methods: tuple[Method, ...]) -> tuple[Method, ...]:
    if "default_rc3" not in methods:
        raise ValueError("must hold default_rc3")
    return methods


class Rupture(_Section):
    """The rupture engine (measurement.md D)."""

    methods: Annotated[tuple[Method, ...], AfterValidator(_holds_default)] = METHODS
    baseline_scores: int = Field(3, ge=1, le=10)
    baseline_min: int = Field(2, ge=1, le=10)
    repair_window: int = Field(3, ge=1, le=10)
    repair_fraction: float = Field(0.5, ge=0, le=1)
    likely_ratio: float = Field(1.5, ge=1, le=5)

    @model_validator(mode="after")
    def _min_is_at_most_scores(self) -> Rupture:
        if self.baseline_min > self.baseline_scores:
            raise ValueError("baseline_min must not exceed baseline_scores")
        return self


class Instrument(_Section):
    """A clinic's own reliable change and cut-offs for one instrument (A)."""

    rc: float | None = Field(None, gt=0)
    rc_subscale: float | None = Field(None, gt=0)
    cut: float | None = None
    functional: float | None = None


class Markers(_Section):
    """Therapist markers (measurement.md E)."""

    item_high: int = Field(3, ge=1, le=4)
    sum_high: int = Field(8, ge=1, le=20)
    tandem_from: int = Field(2, ge=1, le=4)
    persistent_of: int = Field(2, ge=1, le=10)
    persistent_last: int = Field(3, ge=1, le=10)


class Congruence(_Section):
    """Client's and therapist's view side by side (measurement.md F)."""

    min_pairs: int = Field(3, ge=2)
    min_pairs_r: int = Field(5, ge=3)
    aligned_below: float = Field(0.5, ge=0, le=4)
    goal_gap: float = Field(1.0, ge=0, le=4)


class Outcomes(_Section):
    """Recovery rule (measurement.md G1)."""

    recovery_rule: Literal["jacobson_truax", "nhs"] = "jacobson_truax"


class Early(_Section):
    """Which session gives the early alliance (measurement.md G2)."""

    sessions: tuple[Annotated[int, Field(ge=1, le=10)], ...] = (3, 4, 5, 2, 1)


OutcomeCode = Literal["PCL-5", "PHQ-9", "GAD-7", "CORE-10", "OQ-45", "ORS", "ITQ"]


class Stall(_Section):
    """Stalled recovery (measurement.md G3)."""

    instruments: tuple[OutcomeCode, ...] = ("PCL-5",)
    min_session: int = Field(6, ge=1, le=50)
    window_scores: int = Field(4, ge=2, le=10)
    min_gain: float = Field(5, gt=0)
    alliance_lookback: int = Field(3, ge=0, le=10)
    review_sessions: int = Field(2, ge=1, le=10)


class Dropout(_Section):
    """What counts as dropping out (measurement.md G4)."""

    rule: Literal["coded", "unilateral_no_gain", "no_show_last", "inactivity"] = "coded"
    inactive_days: int = Field(60, ge=14, le=365)


class Signals(_Section):
    """Care signals (measurement.md I)."""

    missed_in_row: int = Field(2, ge=1, le=5)
    silent_days: int = Field(28, ge=7, le=120)
    booked_days: int = Field(14, ge=0, le=60)


class Goals(_Section):
    """Goal overlap (measurement.md F2)."""

    inconsistent_below: float = Field(0.5, ge=0, le=1)


class Source(_Section):
    """What is said of one source: its zone, and whether 42 CFR Part 2 covers it."""

    timezone: Zone = "UTC"
    part2: Annotated[bool, WeakerWhen("false")] = False


class Inbox(_Section):
    """How deliveries are picked up."""

    settle_seconds: float = Field(5.0, ge=0, le=3600)
    incomplete_after_hours: float = Field(24.0, gt=0)
    max_bad_share: Annotated[float, _HIGHER] = Field(1.0, gt=0, le=1)
    max_inflated_gb: Annotated[float, _HIGHER] = Field(20.0, gt=0, le=10_000)


_BYTES = {"MB": 10**6, "GB": 10**9}


class Warehouse(_Section):
    """Limits on this machine; the memory limit is for a night's processes together.

    The engine's buffers get three quarters of it (ADR 0071).
    """

    memory_limit: str = Field("4GB", pattern=r"^[0-9]+(\.[0-9]+)?(MB|GB)$")
    threads: int = Field(2, ge=1, le=64)
    rows_per_wave: int = Field(12_000_000, ge=1)
    history_nights: int = Field(14, ge=0)
    history_months: int = Field(13, ge=0)
    min_free_gb: float = Field(0.25, ge=0, le=10_000)

    @property
    def memory_bytes(self) -> int:
        """``memory_limit`` in bytes; GB and MB are powers of ten, as the engine reads them."""
        return int(float(self.memory_limit[:-2]) * _BYTES[self.memory_limit[-2:]])

    @property
    def engine_bytes(self) -> int:
        """What the engine's buffers may take of ``memory_limit``, in bytes (ADR 0071).

        The limit is for a night's processes together: they hold Python, dbt and the gate's
        checks, and the engine holds states of medians and distinct counts, and pages not
        yet given back, outside of its buffers.
        """
        return self.memory_bytes * 3 // 4


class Gate(_Section):
    """The quality gate: what it learns from, where its limits lie, who hears of it.

    The share limits and floors are conventions of this project (ADR 0026); the multiple
    of the median absolute deviation is Iglewicz & Hoaglin 1993.
    """

    warm_up_nights: Annotated[int, _HIGHER] = Field(7, ge=0, le=60)
    history_nights: int = Field(60, ge=7, le=730)
    deviations: Annotated[float, _HIGHER] = Field(3.5, ge=1, le=20)
    short_below_share: Annotated[float, _LOWER] = Field(0.5, gt=0, lt=1)
    long_above_ratio: Annotated[float, _HIGHER] = Field(2.0, gt=1)
    max_vanished_share: Annotated[float, _HIGHER] = Field(0.2, gt=0, lt=1)
    doubled_share: Annotated[float, _HIGHER] = Field(0.45, gt=0, lt=1)
    share_moves: Annotated[float, _HIGHER] = Field(0.3, gt=0, lt=1)
    min_rows: Annotated[int, _HIGHER] = Field(20, ge=1)
    memory_limit: str = Field("1500MB", pattern=r"^[0-9]+(\.[0-9]+)?(MB|GB)$")
    silent_days: Annotated[int, _HIGHER] = Field(3, ge=1, le=90)
    max_waiver_days: Annotated[int, _HIGHER] = Field(31, ge=1, le=366)
    heartbeat_url: str | None = Field(None, pattern=r"^https?://[^\s]+$")
    heartbeat_timeout_seconds: float = Field(5.0, gt=0, le=60)


class Retention(_Section):
    """How many days things are kept; 0 keeps them for good (privacy.md A6).

    ``inbox_days`` run from the publication, ``quarantine_days`` from the last change of
    what was refused, ``audit_days`` are of the audit log and the proofs of erasures.
    """

    inbox_days: Annotated[int, WeakerWhen("kept_longer")] = Field(90, ge=0)
    quarantine_days: Annotated[int, WeakerWhen("kept_longer")] = Field(90, ge=0)
    logs_days: int = Field(90, ge=0)
    lineage_days: int = Field(90, ge=0)
    airflow_days: int = Field(90, ge=0)
    audit_days: Annotated[int, WeakerWhen("kept_shorter")] = Field(2190, ge=0)


# What charts over time draw (quality_improvement.md 2): the first word of their ids, and
# whether they draw a share from 0 to 1.
_CHARTS = {
    "completion": True,
    "alliance": False,
    "rupture_rate": False,
    "repaired": True,
    "improved": True,
    "deteriorated": True,
    "recovered": True,
    "paired": True,
    "dropout": True,
}


def _charts_named(glob: str) -> list[str]:
    """List the first words of the chart ids that a glob can match."""
    plain = re.split(r"[*?]", glob, maxsplit=1)[0]
    word, dot, _ = plain.partition(".")
    if dot or plain == glob:
        return [name for name in _CHARTS if name == word]
    return [name for name in _CHARTS if name.startswith(word)]


def _known_chart(glob: str) -> str:
    if not _charts_named(glob):
        raise ValueError(
            f"no chart is named so: an id begins with one of {', '.join(_CHARTS)}; "
            "only * and ? are special"
        )
    return glob


ChartGlob = Annotated[str, AfterValidator(_known_chart)]


class ProcessChange(_Section):
    """A recorded process change, from which a chart's limits are taken afresh."""

    chart: ChartGlob
    clinic: str | None = Field(None, min_length=1)
    from_: date = Field(alias="from")
    note: str = Field(min_length=3, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")


class Target(_Section):
    """What a chart is to reach: a share from 0 to 1, or points (3.3)."""

    chart: ChartGlob
    clinic: str | None = Field(None, min_length=1)
    value: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _share_is_at_most_one(self) -> Target:
        if self.value > 1 and all(_CHARTS[name] for name in _charts_named(self.chart)):
            raise ValueError(
                "this chart draws a share: a target is 0 to 1, such as 0.8"
            )
        return self


def _first_day(said: object) -> object:
    """Take a date of TOML for its text."""
    return said.isoformat() if isinstance(said, date) else said


def _number_of(said: object) -> object:
    """Take a number that an environment variable holds as text."""
    return int(said) if isinstance(said, str) and said.isdecimal() else said


_Whole = BeforeValidator(_number_of)


class Quality(_Section):
    """Quality-improvement tables (quality_improvement.md)."""

    small_cell_min: Annotated[int, _LOWER] = Field(11, ge=0)
    first_month: Annotated[str | None, BeforeValidator(_first_day)] = Field(
        None, pattern=r"^\d{4}-\d{2}-01$"
    )
    cohort_months: Annotated[Literal[1, 2, 3, 4, 6, 12], _Whole] = 3
    settle_days: int = Field(7, ge=0, le=92)
    screen_moving_ranges: bool = True
    sigma_z_floor: bool = True
    shift_points: Annotated[Literal[7, 8], _Whole] = 8
    trend_points: Annotated[Literal[6, 7], _Whole] = 6
    process_change: tuple[ProcessChange, ...] = ()
    target: tuple[Target, ...] = ()


class Security(_Section):
    """Keys and who may read what is published (privacy.md A2, A3)."""

    key_file: Path | None = None
    encrypt_at_rest: Annotated[bool, WeakerWhen("false")] = False
    shared_read: Annotated[
        tuple[Literal["published", "dashboard", "digest", "releases"], ...],
        WeakerWhen("longer"),
    ] = ()
    shared_group: Annotated[str | None, WeakerWhen("other")] = None
    researcher_group: Annotated[str | None, WeakerWhen("other")] = None


@dataclass(frozen=True)
class Guard:
    """A setting that guards something: its value, its default, and what weakens it."""

    value: Any
    default: Any
    weaker: WeakerWhen


class Extracts(_Section):
    """Research extracts: who approves, how long that holds (privacy.md C)."""

    approvers: tuple[Annotated[str, Field(min_length=2, max_length=80)], ...] = ()
    approval_days: int = Field(30, ge=1, le=365)
    zip3_withheld: tuple[Annotated[str, Field(pattern=r"^\d{3}$")], ...] = ()


_Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Live(_Section):
    """The live system: when it works, and where its web page stands."""

    host: Annotated[Literal["127.0.0.1", "::1", "0.0.0.0"], WeakerWhen("other")] = (
        "127.0.0.1"
    )
    port: Annotated[int, _Whole] = Field(8080, ge=1, le=65535)
    timezone: Zone = "UTC"
    nightly_at: _Clock = "03:30"
    morning_at: _Clock = "06:30"
    sweep_minutes: Annotated[Literal[5, 10, 15, 20, 30], _Whole] = 15
    deadline_minutes: int = Field(180, ge=1, le=1440)
    database_url_file: Path | None = None


class Alerts(_Section):
    """Who hears of a night that failed, was refused or is late (no patient value)."""

    webhook_url: str | None = Field(None, pattern=r"^https?://[^\s]+$")
    email_to: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = ()
    email_from: str = Field("rapport@localhost", pattern=r"^[^@\s]+@[^@\s]+$")
    smtp_host: str = Field("localhost", min_length=1)
    smtp_port: int = Field(25, ge=1, le=65535)
    smtp_starttls: Annotated[bool, WeakerWhen("false")] = False
    smtp_user: str | None = None
    smtp_password_file: Path | None = None
    timeout_seconds: float = Field(10.0, gt=0, le=60)


_guarded: dict[Path, Security] = {}


def security_of(home: Path) -> Security:
    """Return how a RAPPORT_HOME is guarded, by the settings last read of it."""
    return _guarded.get(home, Security())


class Settings(_Section):
    """All settings of one RAPPORT_HOME."""

    home: Path
    episodes: Episodes = Episodes()
    link: Link = Link()
    alliance: Alliance = Alliance()
    rupture: Rupture = Rupture()
    instruments: dict[str, Instrument] = {}
    markers: Markers = Markers()
    congruence: Congruence = Congruence()
    outcomes: Outcomes = Outcomes()
    early: Early = Early()
    stall: Stall = Stall()
    dropout: Dropout = Dropout()
    signals: Signals = Signals()
    goals: Goals = Goals()
    source: dict[str, Source] = {}
    inbox: Inbox = Inbox()
    warehouse: Warehouse = Warehouse()
    gate: Gate = Gate()
    qi: Quality = Quality()
    security: Security = Security()
    extracts: Extracts = Extracts()
    retention: Retention = Retention()
    live: Live = Live()
    alerts: Alerts = Alerts()

    def model_post_init(self, context: Any, /) -> None:
        """Let stores that are given their folder alone ask how it is guarded."""
        _guarded[self.home] = self.security

    @property
    def project_root(self) -> Path:
        """The checkout that holds ``dbt_project/``, ``dags/`` and ``expectations/``."""
        return PROJECT_ROOT

    def of_source(self, source: str) -> Source:
        """Return what is set for a source, or the defaults."""
        return self.source.get(source, Source())

    def measurement(self) -> dict[str, float | str]:
        """Return every clinical setting by its name in measurement.md, section J.

        Lists are written with ``,`` between their members. Only set instrument values
        appear, since the registry holds the rest.
        """
        values: dict[str, float | str] = {}
        for section in _CLINICAL_SECTIONS:
            for name, value in getattr(self, section):
                if isinstance(value, tuple):
                    values[f"{section}.{name}"] = ",".join(str(v) for v in value)
                else:
                    values[f"{section}.{name}"] = value
        for name, value in self.qi:
            if not isinstance(value, tuple):
                values[f"qi.{name}"] = value
        for code, instrument in sorted(self.instruments.items()):
            for name, value in instrument:
                if value is not None:
                    values[f"instruments.{code}.{name}"] = value
        return values

    def guards(self, sources: Iterable[str] = ()) -> dict[str, Guard]:
        """Return every setting that guards something, by name.

        Args:
            sources: sources that count with their defaults when nothing is set for them.
        """
        sections: dict[str, _Section] = {
            name: section for name, section in self if isinstance(section, _Section)
        }
        for name in sorted({*sources, *self.source}):
            sections[f"source.{name}"] = self.of_source(name)
        return {
            f"{of}.{name}": Guard(getattr(section, name), field.default, mark)
            for of, section in sections.items()
            for name, field in type(section).model_fields.items()
            for mark in field.metadata
            if isinstance(mark, WeakerWhen)
        }

    def digest(self) -> str:
        """Return a SHA-256 over all settings that can move a published number."""
        said: dict[str, Any] = {
            "measurement": self.measurement(),
            "source": {k: v.model_dump() for k, v in sorted(self.source.items())},
            "qi": self.qi.model_dump(mode="json", by_alias=True),
        }
        own = sorted((self.home / "instruments").glob("*.csv"))
        if own:
            said["instruments"] = {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in own
            }
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_CLINICAL_SECTIONS = (
    "episodes",
    "link",
    "alliance",
    "rupture",
    "markers",
    "congruence",
    "outcomes",
    "early",
    "stall",
    "dropout",
    "signals",
    "goals",
)


@dataclass(frozen=True)
class SettingSource:
    """One setting that is not at its default, and where it was set."""

    name: str
    origin: str


def home_of(environ: Mapping[str, str] = os.environ) -> Path:
    """Return RAPPORT_HOME, by default ``data/`` of the checkout."""
    said = environ.get("RAPPORT_HOME", "")
    return Path(said).expanduser().resolve() if said else PROJECT_ROOT / "data"


def passphrase_of(environ: Mapping[str, str] = os.environ) -> str:
    """Return the passphrase of a vault's backup that the environment holds, or none."""
    return environ.get(_PASSPHRASE, "")


def give_dbt_key(key: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Put the key of encrypted files where dbt's plugin finds it, in this process alone."""
    environ[_DBT_KEY] = key


def dbt_key_of(environ: Mapping[str, str] = os.environ) -> str:
    """Return the key of encrypted files that dbt's process was given, in base64."""
    return environ[_DBT_KEY]


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read defaults, then ``rapport.toml``, then the environment.

    Raises:
        SettingsError: a setting is unknown or invalid; all problems are named together.
    """
    home = home_of(environ)
    said = _file_settings(home)
    for path, text in _environment_settings(environ):
        _set(said, path, text)
    _add_recorded_changes(said, home)
    for source in said.get("source", {}):
        if not SOURCE_NAME.match(source):
            raise SettingsError(
                "source: a source is named by a-z, 0-9, - and _ , such as north_clinic"
            )
    try:
        return Settings.model_validate({**said, "home": home})
    except ValidationError as error:
        raise SettingsError(
            "\n".join(["settings are not valid:", *_problems(error)]),
            next_step=f"correct {home / 'rapport.toml'} or the environment, then run "
            "rapport doctor",
        ) from None


def setting_sources(environ: Mapping[str, str] = os.environ) -> list[SettingSource]:
    """List the settings that are not at their defaults, with where each was set."""
    home = home_of(environ)
    origins: dict[str, str] = {}
    for name in _leaves(_file_settings(home)):
        origins[name] = "rapport.toml"
    for path, _ in _environment_settings(environ):
        origins[".".join(path)] = _ENV_PREFIX + "__".join(path).upper()
    if recorded_changes(home):
        origins[f"qi.process_change ({RECORDED})"] = RECORDED
    return [SettingSource(name, origins[name]) for name in sorted(origins)]


def recorded_changes(home: Path) -> list[dict[str, Any]]:
    """Return the process changes that ``rapport change add`` recorded, as written.

    They stand in a file of their own, so that no command rewrites the clinic's settings
    (ADR 0034).

    Raises:
        SettingsError: the file does not hold what it must.
    """
    said = _file_settings(home, RECORDED)
    changes = said.pop("process_change", [])
    if said or not isinstance(changes, list):
        raise SettingsError(f"{home / RECORDED}: it holds [[process_change]] alone")
    return changes


def _add_recorded_changes(said: dict[str, Any], home: Path) -> None:
    recorded = recorded_changes(home)
    if not recorded:
        return
    section = said.setdefault("qi", {})
    if isinstance(section, dict):
        section["process_change"] = [*section.get("process_change", []), *recorded]


def _file_settings(home: Path, name: str = "rapport.toml") -> dict[str, Any]:
    path = home / name
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


def _environment_settings(
    environ: Mapping[str, str],
) -> list[tuple[list[str], Any]]:
    """List ``RAPPORT_SECTION__NAME`` variables as paths; instruments keep their case."""
    found: list[tuple[list[str], Any]] = []
    for variable in sorted(environ):
        if not variable.startswith(_ENV_PREFIX) or variable in _ENV_NOT_SETTINGS:
            continue
        parts = variable.removeprefix(_ENV_PREFIX).split("__")
        path = [part.lower() for part in parts]
        if path[0] == "instruments" and len(path) > 1:
            path[1] = parts[1].upper().replace("_", "-")
        found.append((path, _parsed(environ[variable])))
    return found


def _parsed(text: str) -> Any:
    """Read a variable as TOML where it is TOML (lists, tables), else as plain text."""
    if text[:1] in "[{":
        try:
            return tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            return text
    return text


def _set(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            raise SettingsError(f"{'.'.join(path)}: {part} is not a section")
        tree = below
    tree[path[-1]] = value


def _leaves(tree: Mapping[str, Any], above: str = "") -> list[str]:
    names: list[str] = []
    for key, value in tree.items():
        name = f"{above}{key}"
        if isinstance(value, dict):
            names += _leaves(value, f"{name}.")
        else:
            names.append(name)
    return names


def _problems(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"]
        if problem["type"] == "extra_forbidden":
            what = "no such setting"
            if where in RETIRED:
                heir, why = RETIRED[where].heir, RETIRED[where].why
                what = f"is {heir} now ({why})" if heir else f"is retired ({why})"
                what += "; rapport upgrade writes a corrected copy"
        lines.append(f"  {where}: {what}")
    return lines
