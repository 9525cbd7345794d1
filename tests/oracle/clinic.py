"""One source, from its deliveries to every published table: the sections in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from oracle import reading
from oracle.alliance import (
    COMPONENTS,
    AllianceSession,
    UsedForms,
    alliance_session,
    primary_instrument,
    series_of,
    used_forms,
)
from oracle.cohorts import cohort_row, trajectory
from oracle.congruence import congruence_row
from oracle.goals import Goal, overlap_row
from oracle.linking import form_zone, link_episode, link_session
from oracle.outcomes import (
    OutcomeScore,
    Stall,
    describe_stall,
    dropout,
    early_alliance,
    outcome_row,
    outcome_scores,
    stalls_of,
)
from oracle.reading import Row
from oracle.registry import ALLIANCE, OUTCOMES, SCALES, SRS, Instrument
from oracle.ruptures import (
    Rupture,
    compared_with,
    psq_ruptures,
    psq_series,
    score_ruptures,
    srs_ruptures,
)
from oracle.scoring import (
    Administration,
    default_version,
    instrument_of,
    score,
)
from oracle.sessions import (
    Episode,
    Key,
    Session,
    assign_reported,
    close_derived,
    derive,
    describe,
    id_key,
    last_ids,
    read_episode,
    read_session,
)
from oracle.settings import Settings
from oracle.signals import (
    Signal,
    deterioration_signals,
    disengagement_signals,
    end_of,
    mismatch_signals,
    rupture_signals,
    stall_signal,
    strain_signals,
    weak_early_signal,
    within_episode,
)
from oracle.therapist import Marker, Strengthening, markers_of, strengthening
from oracle.versions import Delivery, current_rows, item_sets

Tables = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


@dataclass
class Clinic:
    """What one source comes to on a night."""

    name: str
    settings: Settings
    as_of: date
    key: Key
    clients: dict[str, Row] = field(default_factory=dict)
    therapists: dict[str, Row] = field(default_factory=dict)
    places: dict[str, Row] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    forms: list[Administration] = field(default_factory=list)
    used: UsedForms = field(default_factory=dict)
    goals: dict[str, list[Goal]] = field(default_factory=dict)
    diagnoses: list[tuple[str, Row]] = field(default_factory=list)
    goal_rows: list[tuple[str, Row, str]] = field(
        default_factory=list
    )  # client, row, zone
    alliance: list[AllianceSession] = field(default_factory=list)
    primary: dict[str, Instrument | None] = field(default_factory=dict)
    ruptures: list[Rupture] = field(default_factory=list)
    cohorts: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    markers: dict[str, list[Marker]] = field(default_factory=dict)
    work: list[Strengthening] = field(default_factory=list)
    outcome_scores: dict[tuple[str, str], list[OutcomeScore]] = field(
        default_factory=dict
    )
    stalls: list[Stall] = field(default_factory=list)

    def of_episode(self, episode: Episode) -> list[AllianceSession]:
        """The alliance sessions of an episode, in session-number order."""
        own = [row for row in self.alliance if row.session.episode is episode]
        return sorted(own, key=lambda row: row.session.number)

    def default_ruptures(self, episode: Episode) -> list[Rupture]:
        """``default_rc3`` on the primary instrument."""
        primary = self.primary[episode.key]
        return [
            rupture
            for rupture in self.ruptures
            if rupture.episode is episode
            and rupture.method == "default_rc3"
            and primary is not None
            and rupture.instrument == primary.code
        ]


def measure_clinic(
    name: str, deliveries: list[Delivery], settings: Settings, as_of: date, key: Key
) -> Clinic:
    """Measure one source.

    Args:
        name: the source.
        deliveries: what it delivered, in any order.
        settings: the settings of the night.
        as_of: facts after this date do not count.
        key: (entity, id) -> published key, for ids of this source.
    """
    clinic = Clinic(name, settings, as_of, key)
    _read(clinic, deliveries)
    _sessions_and_episodes(clinic)
    _alliance_and_ruptures(clinic)
    _outcomes(clinic)
    return clinic


def _read(clinic: Clinic, deliveries: list[Delivery]) -> None:
    """K1, B1, B2: current rows of known clients, at their last id and local time."""
    key, as_of = clinic.key, clinic.as_of
    source_zone = clinic.settings.timezone(clinic.name)
    last = last_ids(current_rows(deliveries, "client_merges"), key, as_of)

    def of_known(table: str) -> list[tuple[str, Row]]:
        """Current rows with their client; a row of an unknown client waits for it."""
        rows = current_rows(deliveries, table)
        owned = [(last(key("client", row["client_id"])), row) for row in rows]
        return [(client, row) for client, row in owned if client in clinic.clients]

    for row in current_rows(deliveries, "clients"):
        client = key("client", row["client_id"])
        if last(client) == client:
            clinic.clients[client] = row
    for row in current_rows(deliveries, "therapists"):
        clinic.therapists[key("therapist", row["therapist_id"])] = row
    for row in current_rows(deliveries, "clinics"):
        clinic.places[key("clinic", row["clinic_id"])] = row
    clinic_zones = {
        place: zone
        for place, row in clinic.places.items()
        if (zone := reading.zone(row)) is not None
    }
    clinic.sessions = [
        read_session(row, key, client, clinic_zones, source_zone, as_of)
        for client, row in of_known("sessions")
    ]
    clinic.episodes = [
        episode
        for client, row in of_known("episodes")
        if (episode := read_episode(row, key, client)).opened_on <= as_of
    ]
    items = item_sets(deliveries)
    for client, row in of_known("measures"):
        zone = _zone_of_form(clinic, client, row, clinic_zones, source_zone)
        form = _read_form(row, key, client, zone, items)
        if form.date <= as_of:
            clinic.forms.append(form)
    clinic.diagnoses = of_known("diagnoses")
    clinic.goal_rows = [
        (client, row, _zone_of_form(clinic, client, row, clinic_zones, source_zone))
        for client, row in of_known("goals")
    ]


def _zone_of_form(
    clinic: Clinic, client: str, row: Row, clinic_zones: dict[str, str],
    source_zone: str,
) -> str:  # fmt: skip
    own = [session for session in clinic.sessions if session.client == client]
    named_key = id_key(clinic.key, "session", row, "session_id")
    therapist_key = id_key(clinic.key, "therapist", row, "therapist_id")
    therapist = clinic.therapists.get(therapist_key or "", {})
    therapist_place = id_key(clinic.key, "clinic", therapist, "clinic_id")
    return form_zone(
        next((session for session in own if session.key == named_key), None),
        clinic_zones.get(therapist_place or ""),
        own,
        source_zone,
    )


def _read_form(
    row: Row, key: Key, client: str, zone: str, items: dict[str, Any]
) -> Administration:
    code, is_alias = instrument_of(row["instrument"])
    administered = reading.stamp(row, "administered_at")
    assert administered is not None
    return Administration(
        key=key("administration", row["administration_id"]),
        client=client,
        therapist=id_key(key, "therapist", row, "therapist_id"),
        named_session=id_key(key, "session", row, "session_id"),
        code=code,
        is_alias=is_alias,
        version=default_version(code, reading.text(row, "version")),
        rater=reading.code(row, "rater", reading.RATERS) or "unknown",
        administered_at=administered.instant(zone),
        date=administered.local_date(zone),
        updated_at=reading.updated_at(row),
        total_reported=reading.number(reading.text(row, "total_reported")),
        items=items.get(row["administration_id"].strip(), {}),
    )


def _sessions_and_episodes(clinic: Clinic) -> None:
    """B3–B9."""
    gap_days = clinic.settings["episodes.gap_days"]
    assign_reported(clinic.sessions, clinic.episodes)
    for client in clinic.clients:
        own = [session for session in clinic.sessions if session.client == client]
        derived = derive(own, gap_days)
        close_derived(derived, gap_days, clinic.as_of)
        clinic.episodes += derived
    for episode in clinic.episodes:
        episode.sessions = [s for s in clinic.sessions if s.episode is episode]
        describe(episode, clinic.as_of)
    for form in clinic.forms:
        own = [s for s in clinic.sessions if s.client == form.client]
        form.scores = score(form)
        form.session = link_session(form, own, clinic.settings)
        form.episode = (
            form.session.episode
            if form.session
            else link_episode(form.client, form.date, clinic.episodes, clinic.settings)
        )
    clinic.used = used_forms(clinic.forms)
    _goals(clinic)


def _goals(clinic: Clinic) -> None:
    """F2: rows of goals by the episode that they belong to."""
    for client, row, zone in clinic.goal_rows:
        recorded = reading.stamp(row, "recorded_at")
        day = recorded.local_date(zone)
        named = id_key(clinic.key, "episode", row, "episode_id")
        episode = next(
            (e for e in clinic.episodes if e.key == named and e.client == client), None
        ) or link_episode(client, day, clinic.episodes, clinic.settings)
        if episode is not None:
            goal = Goal(
                clinic.key("goal", row["goal_id"]),
                reading.code(row, "rater", reading.RATERS) or "unknown",
                recorded.instant(zone),
                day,
                reading.code(row, "domain", reading.GOAL_DOMAINS) or "unknown",
                reading.code(row, "status", reading.GOAL_STATUSES),
            )
            clinic.goals.setdefault(episode.key, []).append(goal)


def _alliance_and_ruptures(clinic: Clinic) -> None:
    """C, D, E, H."""
    settings = clinic.settings
    for session in clinic.sessions:
        for instrument in ALLIANCE if session.number else ():
            row = alliance_session(session, instrument, clinic.used, settings)
            if row is not None:
                clinic.alliance.append(row)
    for episode in clinic.episodes:
        rows = clinic.of_episode(episode)
        clinic.primary[episode.key] = primary_instrument(episode, rows, settings)
        lengths = _ruptures_of(clinic, episode, rows)
        if episode.attended:
            _cohorts_of(clinic, episode, lengths)
        _place_in_ruptures(clinic, episode, rows)
        used = _used_of(clinic, episode)
        clinic.markers[episode.key] = markers_of(
            [form for form in used if form.code == "RAP-T"], settings
        )
        clinic.work += [
            row
            for form in used
            if form.code == "RAP-S"
            and (row := strengthening(form, clinic.default_ruptures(episode)))
        ]


def _used_of(clinic: Clinic, episode: Episode) -> list[Administration]:
    return [f for f in clinic.used.values() if f.session.episode is episode]


def _ruptures_of(
    clinic: Clinic, episode: Episode, rows: list[AllianceSession]
) -> dict[tuple[str, str], list[int]]:
    """D: ruptures by every method; return (method, instrument) -> series lengths."""
    settings, lengths = clinic.settings, defaultdict(list)
    overall = {
        form.session.key: form.valid("overall")
        for form in _used_of(clinic, episode)
        if form.code == SRS.code and form.rater == "client"
    }
    psq = [
        form
        for form in _used_of(clinic, episode)
        if form.code == "PSQ" and form.rater == "client"
    ]
    for method in settings["rupture.methods"]:
        if method == "psq_direct":
            for therapist, forms in psq_series(episode, psq).items():
                lengths[method, "PSQ"].append(len(forms))
                clinic.ruptures += psq_ruptures(episode, therapist, forms, settings)
            continue
        for instrument in [SRS] if method == "srs_concern" else ALLIANCE:
            for therapist, points in series_of(episode, instrument, rows).items():
                lengths[method, instrument.code].append(len(points))
                clinic.ruptures += (
                    srs_ruptures(episode, therapist, points, overall, settings)
                    if method == "srs_concern"
                    else score_ruptures(
                        method, episode, therapist, instrument, points, settings
                    )
                )
    return lengths


def _cohorts_of(
    clinic: Clinic, episode: Episode, lengths: dict[tuple[str, str], list[int]]
) -> None:
    """H: one row an episode a method."""
    primary = clinic.primary[episode.key]
    for method in clinic.settings["rupture.methods"]:
        instrument = {"psq_direct": "PSQ", "srs_concern": SRS.code}.get(
            method, primary.code if primary else None
        )
        own = [
            rupture
            for rupture in clinic.ruptures
            if rupture.episode is episode
            and (rupture.method, rupture.instrument) == (method, instrument)
        ]
        clinic.cohorts[episode.key, method] = cohort_row(
            method, instrument, lengths.get((method, instrument or ""), []), own
        )


def _place_in_ruptures(
    clinic: Clinic, episode: Episode, rows: list[AllianceSession]
) -> None:
    """C: ``baseline`` and ``in_open_rupture``, from default_rc3 of the row's series."""
    for instrument in ALLIANCE:
        own = [row for row in rows if row.instrument is instrument]
        for points in series_of(episode, instrument, rows).values():
            compared = compared_with(instrument, points, clinic.settings)
            for point, value in zip(points, compared, strict=True):
                for row in own:
                    if row.session is point.session:
                        row.baseline = value
        for row in own:
            row.in_open_rupture = any(
                rupture.is_open_at(row.session.number)
                for rupture in clinic.ruptures
                if rupture.episode is episode
                and rupture.method == "default_rc3"
                and rupture.instrument == instrument.code
                and rupture.therapist == row.series_therapist
            )


def _outcomes(clinic: Clinic) -> None:
    """G1–G3."""
    worked = {row.session.key for row in clinic.work}
    rated = {
        row.session.key for row in clinic.alliance if row.client["total"] is not None
    }
    for episode in clinic.episodes:
        rows = clinic.of_episode(episode)
        for instrument in OUTCOMES:
            scores = outcome_scores(episode, instrument, clinic.forms)
            if not scores:
                continue
            clinic.outcome_scores[episode.key, instrument.code] = scores
            if instrument.code in clinic.settings["stall.instruments"]:
                found = stalls_of(episode, instrument, scores, clinic.settings)
                for stall in found:
                    describe_stall(
                        stall,
                        clinic.primary[episode.key],
                        rows,
                        worked | rated,
                        clinic.settings,
                    )
                clinic.stalls += found


def signals_of(clinic: Clinic) -> list[Signal]:
    """I: every signal of the clinic, closed where its episode ended."""
    found = []
    for episode in clinic.episodes:
        end = end_of(episode, clinic.settings)
        for signal in _open_signals(clinic, episode):
            ended = within_episode(signal, end)
            if ended is not None:
                found.append(ended)
    return found


def _open_signals(clinic: Clinic, episode: Episode) -> Iterator[Signal]:
    settings, primary = clinic.settings, clinic.primary[episode.key]
    for rupture in clinic.default_ruptures(episode):
        yield from rupture_signals(rupture, settings)
    for stall in clinic.stalls:
        if stall.episode is episode:
            yield stall_signal(stall)
    markers = clinic.markers[episode.key]
    yield from strain_signals(episode, markers)
    if primary is not None:
        rows = [r for r in clinic.of_episode(episode) if r.instrument is primary]
        answers = {
            marker.session.key: marker.answers["goals_inconsistent"]
            for marker in markers
        }
        yield from mismatch_signals(episode, rows, primary, answers, settings)
        early = early_alliance(primary, rows, settings)
        if early["early_alliance_band"] == "weak":
            signal = weak_early_signal(
                episode, rows, primary, early["early_alliance_session"], settings
            )
            if signal is not None:
                yield signal
    for instrument in OUTCOMES:
        scores = clinic.outcome_scores.get((episode.key, instrument.code), [])
        yield from deterioration_signals(episode, instrument, scores, settings)
    yield from disengagement_signals(episode, clinic.as_of, settings)


# --- the published tables --------------------------------------------------------------


def tables_of(clinic: Clinic) -> Tables:
    """Return table -> key -> the other columns, of one source."""
    return {
        "core.dim_client": _dim_client(clinic),
        "core.dim_therapist": {
            (therapist,): {
                "clinic_key": id_key(clinic.key, "clinic", row, "clinic_id"),
                "discipline": reading.text(row, "discipline"),
            }
            for therapist, row in clinic.therapists.items()
        },
        "core.dim_clinic": {
            (place,): {
                "clinic_name": reading.text(row, "name"),
                "state": reading.text(row, "state"),
                "timezone": reading.zone(row),
            }
            for place, row in clinic.places.items()
        },
        "core.fct_session": _fct_session(clinic),
        "core.fct_episode": _fct_episode(clinic),
        "core.fct_measure_score": _fct_measure_score(clinic),
        "core.fct_diagnosis": _primary_diagnoses(clinic),
        "alliance.fct_alliance_session": _fct_alliance_session(clinic),
        "alliance.fct_rupture": _fct_rupture(clinic),
        "alliance.rupture_cohort": dict(clinic.cohorts),
        "alliance.fct_therapist_marker": _fct_therapist_marker(clinic),
        "alliance.fct_congruence": _fct_congruence(clinic),
        "alliance.fct_goal_overlap": {
            (episode,): row
            for episode, history in clinic.goals.items()
            if (row := overlap_row(history, clinic.as_of, clinic.settings))
        },
        "alliance.fct_strengthening": _fct_strengthening(clinic),
        "outcomes.fct_episode_outcome": _fct_episode_outcome(clinic),
        "outcomes.fct_stall": _fct_stall(clinic),
        "outcomes.fct_care_signal": _fct_care_signal(clinic),
    }


def trajectory_of(clinics: list[Clinic]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """H: the one table that is of all sources together."""
    rows = [row for clinic in clinics for row in clinic.alliance]
    return trajectory(rows, clinics[0].settings)


def _episode_key(thing: Any) -> str | None:
    return thing.episode.key if thing.episode else None


def _dim_client(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {}
    for client, row in clinic.clients.items():
        dates = [
            session.date
            for session in clinic.sessions
            if session.client == client and session.is_counted
        ]
        focus = [e.trauma_focused for e in clinic.episodes if e.client == client]
        known = [f for f in focus if f is not None]
        birth = reading.text(row, "birth_date")
        found[(client,)] = {
            "source": clinic.name,
            "birth_year": int(birth[:4]) if birth else None,
            "race_group": _race_group(row),
            "first_session_date": min(dates, default=None),
            "trauma_focused": any(known) if known else None,
        }
    return found


def _race_group(row: Row) -> str:
    """Contract §4, ``dim_client``."""
    if reading.text(row, "ethnicity") == "hispanic":
        return "hispanic"
    races = {part.strip() for part in (row.get("race") or "").split(";")} - {""}
    if len(races) > 1:
        return "multiple"
    return next(iter(races), "unknown")


def _fct_session(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (session.key,): {
            "client_key": session.client,
            "therapist_key": session.therapist,
            "clinic_key": session.clinic,
            "episode_key": _episode_key(session),
            "session_number": session.number,
            "session_date": session.date,
            "started_at": session.started_at.replace(tzinfo=None),
            "duration_minutes": session.duration_minutes,
            "status": session.status,
            "modality": session.modality,
            "treatment_approach": session.treatment_approach,
            "delivery_mode": session.delivery_mode,
        }
        for session in clinic.sessions
    }


def _fct_episode(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {}
    for episode in clinic.episodes:
        outcomes = {
            code: outcome_row(SCALES[code], scores, clinic.settings)
            for (key, code), scores in clinic.outcome_scores.items()
            if key == episode.key
        }
        found[(episode.key,)] = {
            "client_key": episode.client,
            "therapist_key": episode.therapist,
            "clinic_key": episode.clinic,
            "opened_on": episode.opened_on,
            "closed_on": episode.closed_on,
            "closure_reason": episode.closure_reason,
            "episode_status": "closed" if episode.is_closed else "open",
            "episode_origin": episode.origin,
            "trauma_focused": episode.trauma_focused,
            "treatment_approach": episode.treatment_approach,
            "n_attended": len(episode.attended),
            "n_missed": episode.n_missed,
            "dropout": dropout(episode, outcomes, clinic.as_of, clinic.settings),
            "dropout_rule": clinic.settings["dropout.rule"],
        }
    return found


def _fct_measure_score(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (form.key, subscale): {
            "client_key": form.client,
            "episode_key": _episode_key(form),
            "session_key": form.session.key if form.session else None,
            "session_number": form.session.number if form.session else None,
            "instrument": form.code,
            "version": form.version,
            "rater": form.rater,
            "score": row.score,
            "n_answered": row.n_answered,
            "n_items": row.n_items,
            "score_origin": row.origin,
            "is_valid": row.score is not None,
            "invalid_reason": row.invalid_reason,
            "administered_on": form.date,
        }
        for form in clinic.forms
        for subscale, row in form.scores.items()
    }


def _primary_diagnoses(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Contract §4, ``fct_diagnosis``: the rows that are primary at the start."""
    found = {}
    for episode in clinic.episodes:
        if not episode.attended:
            continue
        first = episode.attended[0]
        named = first.diagnosis_codes[:1]
        recorded = sorted(
            (reading.day(row, "recorded_on"), row["code"])
            for client, row in clinic.diagnoses
            if client == episode.client
            and row["status"] == "active"
            and reading.day(row, "recorded_on") <= first.date
        )
        for code in named or [code for _, code in recorded[-1:]]:
            found[episode.client, episode.key, code] = {}
    return found


def _fct_alliance_session(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (row.session.key, row.instrument.code): {
            "episode_key": _episode_key(row.session),
            "session_number": row.session.number,
            "session_date": row.session.date,
            **{f"client_{part}": row.client[part] for part in COMPONENTS},
            **{f"therapist_{part}": row.therapist[part] for part in COMPONENTS},
            **{f"gap_{part}": row.gap[part] for part in COMPONENTS},
            "band": row.band,
            "baseline": row.baseline,
            "in_open_rupture": row.in_open_rupture,
        }
        for row in clinic.alliance
    }


def _fct_rupture(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (rupture.key,): {
            "method": rupture.method,
            "method_version": "1",
            "episode_key": rupture.episode.key,
            "client_key": rupture.episode.client,
            "therapist_key": rupture.therapist,
            "instrument": rupture.instrument,
            "rater": "client",
            "onset_session_number": rupture.onset.number,
            "onset_date": rupture.onset.date,
            "baseline": rupture.baseline,
            "onset_score": rupture.onset_score,
            "trough_score": rupture.trough_score,
            "drop_size": rupture.drop_size,
            "drop_ratio": rupture.drop_ratio,
            "strength": rupture.strength,
            "lead_component": rupture.lead_component,
            "shape": rupture.shape,
            "status": rupture.status,
            "repair_session_number": rupture.repair.number if rupture.repair else None,
            "repair_date": rupture.repair.date if rupture.repair else None,
            "sessions_to_repair": rupture.sessions_to_repair,
        }
        for rupture in clinic.ruptures
    }


def _fct_therapist_marker(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (row.session.key,): {
            "episode_key": _episode_key(row.session),
            "session_number": row.session.number,
            **row.answers,
            "strain_sum": row.strain_sum,
            "is_strained": row.is_strained,
            "is_persistent": row.is_persistent,
            "in_tandem": row.in_tandem,
        }
        for rows in clinic.markers.values()
        for row in rows
    }


def _fct_congruence(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {}
    for episode in clinic.episodes:
        for instrument in ALLIANCE:
            rows = [r for r in clinic.of_episode(episode) if r.instrument is instrument]
            for part in COMPONENTS:
                row = congruence_row(part, rows, instrument, clinic.settings)
                if row is not None:
                    found[episode.key, instrument.code, part] = row
    return found


def _fct_strengthening(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (row.session.key,): {
            "episode_key": _episode_key(row.session),
            "session_number": row.session.number,
            "session_date": row.session.date,
            **row.work,
            "after_rupture": row.after_rupture.key if row.after_rupture else None,
            "repaired_after": row.repaired_after,
        }
        for row in clinic.work
    }


def _fct_episode_outcome(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    by_key = {episode.key: episode for episode in clinic.episodes}
    return {
        (key, code): {
            **outcome_row(SCALES[code], scores, clinic.settings),
            **early_alliance(
                clinic.primary[key], clinic.of_episode(by_key[key]), clinic.settings
            ),
        }
        for (key, code), scores in clinic.outcome_scores.items()
    }


def _fct_stall(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {}
    for stall in clinic.stalls:
        found[stall.episode.key, stall.instrument, stall.date] = {
            "stall_session_number": stall.number,
            "status": stall.status,
            "weak_component": stall.weak_component,
            "alliance_reviewed": stall.alliance_reviewed,
            "resumed_session_number": stall.resumed_number,
        }
    return found


def _fct_care_signal(clinic: Clinic) -> dict[tuple[Any, ...], dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for signal in signals_of(clinic):
        grain = (
            signal.name,
            signal.episode.key,
            signal.instrument,
            signal.opened_on,
            signal.therapist,
        )
        assert grain not in found, f"two signals share {grain}"
        found[grain] = {
            "client_key": signal.episode.client,
            "clinic_key": signal.episode.clinic,
            "closed_on": signal.closed_on,
            "closed_reason": signal.reason,
            "status": "open" if signal.closed_on is None else "closed",
        }
    return found
