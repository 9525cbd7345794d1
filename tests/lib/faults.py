"""One planted fault for each expectation that reads a database: SQL on a good copy.

Each statement is the least that breaks its check and no other. A fault that needs two
steps is a list. The expectations of a source's history have their faults in
``history_faults.py``, planted in deliveries; those of the quality tables stand in
``quality_faults.py``.
"""

from collections.abc import Iterable

from lib.good_night import CLIENT, EPISODE, LOOSE, SESSIONS
from lib.quality_faults import QUALITY_FAULTS
from rapport.mapping import TABLES
from rapport.warehouse.build import bronze_columns

_KEY = "abcdefghijklmnopqrstuvwxyz"
_PREFIXES = {
    "client": "cl", "therapist": "th", "clinic": "cn", "episode": "ep", "session": "se",
    "administration": "ad", "goal": "go",
}  # fmt: skip
_BRONZE_DATES = {
    "sessions": "started_at_wall", "measures": "administered_at_wall",
    "goals": "recorded_at_wall", "episodes": "opened_on", "diagnoses": "recorded_on",
    "clients": "registered_on", "client_merges": "merged_on",
}  # fmt: skip


def _bronze() -> Iterable[tuple[str, str]]:
    """Yield the faults of bronze: one row of the table is changed for each."""
    for table in TABLES:
        one = f"update bronze.{table.name} set {{}} where rowid = 0"
        ids = [column for column in table.columns if column.kind == "id"]
        codes = [column for column in table.columns if column.kind == "code"]
        held = {name for name, _ in bronze_columns(table)}
        for column in table.columns:
            name = {"timestamp": f"{column.name}_wall", "id": column.key_name}.get(
                column.kind, column.name
            )
            if column.required and name in held:
                yield (
                    f"bronze_{table.name}_{name}_present",
                    one.format(f"{name} = null"),
                )
        if ids:
            # As long as a key and with its prefix, but a number: a source id in disguise.
            yield (
                f"bronze_{table.name}_keys_are_keyed",
                one.format(f"{ids[0].key_name} = '{_PREFIXES[ids[0].of]}_' || '0'"),
            )
        if codes:
            yield (
                f"bronze_{table.name}_codes_in_lists",
                one.format(f"{codes[0].name} = 'Klient'"),
            )
            yield (
                f"bronze_{table.name}_spellings_are_tokens",
                one.format(f"{codes[0].name}_raw = 'Klient'"),
            )
        if table.name in _BRONZE_DATES:
            name = _BRONZE_DATES[table.name]
            yield (
                f"bronze_{table.name}_{name}_plausible",
                one.format(f"{name} = date '1900-01-01'"),
            )


_RESOLVED = (
    "rupture_key = (select min(rupture_key) from alliance.fct_rupture"
    " where status = 'resolved' and method = 'default_rc3')"
)
# One that no work came after: that work would disagree with it too.
_UNREPAIRED = (
    "rupture_key = (select min(rupture_key) from alliance.fct_rupture"
    " where status = 'unresolved_at_close' and method = 'default_rc3' and rupture_key"
    " not in (select after_rupture from alliance.fct_strengthening"
    " where after_rupture is not null))"
)
# A plain row of the alliance: both views, no rupture about, well inside its band.
_PLAIN = (
    "session_key = (select min(session_key) from alliance.fct_alliance_session"
    " where instrument = 'WAI-SR' and client_total between 4.2 and 4.7 and gap_goal is"
    " not null and gap_total is not null and not in_open_rupture and episode_key not in"
    " (select episode_key from alliance.fct_rupture)) and instrument = 'WAI-SR'"
)


def _again(table: str, where: str = "rowid = 0") -> str:
    return f"insert into {table} select * from {table} where {where}"


def _changed(table: str, where: str, **said: str) -> str:
    """Add a copy of a row that differs in what is said."""
    new = ", ".join(f"{sql} as {name}" for name, sql in said.items())
    return (
        f"insert into {table} select * replace ({new}) from {table}"
        f" where rowid = (select min(rowid) from {table} where {where})"
    )


def _session(said: str, key: str = LOOSE) -> str:
    return f"update core.fct_session set {said} where session_key = '{key}'"


def _episode(said: str) -> str:
    return f"update core.fct_episode set {said} where episode_key = '{EPISODE}'"


def _form(n: int = 1, **said: str) -> str:
    """Add forms that hang on nothing: valid PCL-5 totals, but for what is said."""
    row = {
        "administration_key": "'ad_' || lpad(n::varchar, 26, 'q')",
        "client_key": f"'{CLIENT}'",
        "instrument": "'PCL-5'",
        "version": "'1'",
        "rater": "'client'",
        "subscale": "'total'",
        "score": "40",
        "n_answered": "20",
        "n_items": "20",
        "score_origin": "'items'",
        "is_valid": "true",
        "administered_on": "date '2026-05-20'",
        **said,
    }
    columns = ", ".join(f"{sql} as {name}" for name, sql in row.items())
    return (
        f"insert into core.fct_measure_score by name select {columns}"
        f" from range({n}) as copies (n)"
    )


def _copies(table: str, n: int, where: str, **said: str) -> str:
    """Add n copies of a row that differ in what is said (``n`` counts them)."""
    new = ", ".join(f"{sql} as {name}" for name, sql in said.items())
    return (
        f"insert into {table} select one.* replace ({new}) from {table} as one"
        f" cross join range({n}) as copies (n) where {where}"
    )


# The nth key of a kind: digits are no letters of a key.
_NTH = "'{}_' || translate(lpad(n::varchar, 26, 'z'), '0189', 'abcd')"
_NOT_VALID = {"score": "null", "is_valid": "false", "invalid_reason": "'no_items'"}

FAULTS: dict[str, str | list[str]] = {
    **dict(_bronze()),
    **QUALITY_FAULTS,
    "bronze_clients_birth_year_plausible": (
        "update bronze.clients set birth_year = 1800 where rowid = 0"
    ),
    "bronze_clients_zip3_is_three_digits": (
        "update bronze.clients set zip3 = '02139' where rowid = 0"
    ),
    "bronze_measure_items_value_kind_in_list": (
        "update bronze.measure_items set value_kind = 'note' where rowid = 0"
    ),
    "bronze_files_hold_their_rows": (
        "update gate.bronze_file set n_found = n_found - 1 where rowid = 0"
    ),
    # --- the ledger and what the models saw
    "ledger_sums_hold": "update ops.row_ledger set rows_in = rows_in + 1 where rowid = 0",
    "ledger_counts_are_counts": (
        "update ops.row_ledger set rows_filtered = rows_filtered - 1,"
        " rows_loaded = rows_loaded + 1 where rowid = 0"
    ),
    "ledger_delivery_exists": (
        "update ops.row_ledger set delivery_id = 'b_aaaaaaaaaaaa' where rowid = 0"
    ),
    "delivery_one_row_a_key": _again("ops.delivery"),
    "delivery_received_before_pickup": (
        "update ops.delivery set received_at = picked_up_at + interval 40 day"
        " where rowid = 0"
    ),
    "few_rows_are_quarantined": (
        "update ops.row_ledger set rows_quarantined = rows_loaded, rows_loaded = 0"
        " where rows_in = (select max(rows_in) from ops.row_ledger)"
    ),
    "rows_wait_for_parents": (
        "insert into ops.data_finding values ('held_until_client_arrives', 'sessions', 3)"
    ),
    "merges_lead_somewhere": (
        "insert into ops.data_finding values ('merge_cycle', 'client_merges', 2)"
    ),
    "totals_agree_with_items": (
        "insert into ops.data_finding values"
        " ('total_disagrees_with_items', 'measures', 2)"
    ),
    "items_are_answers": (
        "insert into ops.data_finding values ('item_out_of_range', 'measure_items', 2)"
    ),
    "instruments_are_known": (
        "insert into ops.data_finding values ('form_wrong_rater', 'measures', 2)"
    ),
    # --- core
    "dim_client_one_row_a_key": _again("core.dim_client"),
    "dim_clinic_one_row_a_key": _again("core.dim_clinic"),
    "dim_therapist_one_row_a_key": _again("core.dim_therapist"),
    "dim_instrument_one_row_a_key": _again("core.dim_instrument"),
    "fct_session_one_row_a_key": _again("core.fct_session", f"session_key = '{LOOSE}'"),
    "fct_episode_one_row_a_key": _again(
        "core.fct_episode", f"episode_key = '{EPISODE}'"
    ),
    "fct_measure_score_one_row_a_key": _again(
        "core.fct_measure_score",
        "rowid = (select min(rowid) from core.fct_measure_score where subscale = 'goal')",
    ),
    # A client of nothing else: a source id where the keyed hash should be.
    "keys_are_keyed": _changed(
        "core.dim_client",
        f"client_key = '{CLIENT}'",
        client_key="'C1001'",
        first_session_date="null::date",
    ),
    "client_zip3_is_three_digits": (
        "update core.dim_client set zip3 = '02139' where rowid = 0"
    ),
    "client_birth_year_plausible": (
        "update core.dim_client set birth_year = 1800 where rowid = 0"
    ),
    "client_first_session_agrees": (
        "update core.dim_client set first_session_date = date '2026-05-03'"
        f" where client_key = '{CLIENT}'"
    ),
    "therapist_clinic_exists": (
        f"update core.dim_therapist set clinic_key = 'cn_{_KEY}' where rowid = 0"
    ),
    "clinic_has_zone": "update core.dim_clinic set timezone = null where rowid = 0",
    "instrument_scale_is_ordered": (
        "update core.dim_instrument set item_min = 5, item_max = 0"
        " where instrument = 'ITQ' and subscale = 'total'"
    ),
    # Sessions were loaded, and none was attended: so nothing hangs on any.
    "sessions_arrive": [
        *[
            f"delete from {name}"
            for name in (
                "core.fct_session",
                "core.fct_measure_score",
                "core.fct_diagnosis",
                "alliance.fct_alliance_session",
                "alliance.fct_rupture",
                "alliance.rupture_cohort",
                "alliance.fct_therapist_marker",
                "alliance.fct_strengthening",
                "alliance.fct_congruence",
                "outcomes.fct_episode_outcome",
                "outcomes.fct_care_signal",
            )
        ],
        "update core.fct_episode set n_attended = 0, n_missed = 0",
        "update core.dim_client set first_session_date = null",
    ],
    "session_numbers_have_no_gap": _session("session_number = 9", SESSIONS[3]),
    "session_numbers_in_time_order": [
        _session(
            "started_at = timestamp '2026-05-18 15:07:00',"
            " session_date = date '2026-05-18'",
            SESSIONS[1],
        ),
        _session(
            "started_at = timestamp '2026-05-11 15:07:00',"
            " session_date = date '2026-05-11'",
            SESSIONS[2],
        ),
    ],
    "numbered_sessions_are_attended": _session("status = 'unknown'", SESSIONS[3]),
    "attended_session_has_duration": (
        "update core.fct_session set duration_minutes = null where session_number > 3"
    ),
    "session_duration_plausible": _session("duration_minutes = 900", SESSIONS[3]),
    "session_date_near_start": _session("session_date = session_date + 9"),
    "session_date_plausible": [
        _session(
            "session_date = date '1900-01-01', started_at = timestamp '1900-01-01'",
            SESSIONS[0],
        ),
        "update core.dim_client set first_session_date = date '1900-01-01'"
        f" where client_key = '{CLIENT}'",
    ],
    "session_client_exists": _session(f"client_key = 'cl_{_KEY}'"),
    "session_episode_exists": _session(f"episode_key = 'ep_{_KEY}'"),
    "session_therapist_exists": _session(f"therapist_key = 'th_{_KEY}'"),
    "session_clinic_exists": _session(f"clinic_key = 'cn_{_KEY}'"),
    "session_episode_same_client": _session(
        "episode_key = (select min(episode_key) from core.fct_episode"
        f" where client_key <> '{CLIENT}')"
    ),
    "sessions_do_not_coincide": [
        _session(
            "started_at = timestamp '2026-05-11 15:07:00',"
            " session_date = date '2026-05-11'",
            SESSIONS[2],
        ),
    ],
    "therapists_meet_one_client_at_a_time": [
        # A hundred clients of one therapist, all in the same minute, one session each.
        _copies(
            "core.dim_client",
            100,
            f"client_key = '{CLIENT}'",
            client_key=_NTH.format("cl"),
        ),
        _copies(
            "core.fct_episode",
            100,
            f"episode_key = '{EPISODE}'",
            episode_key=_NTH.format("ep"),
            client_key=_NTH.format("cl"),
            n_attended="1",
            n_missed="0",
        ),
        _copies(
            "core.fct_session",
            100,
            f"session_key = '{SESSIONS[0]}'",
            session_key=_NTH.format("se"),
            client_key=_NTH.format("cl"),
            episode_key=_NTH.format("ep"),
        ),
        _copies(
            "alliance.rupture_cohort",
            100,
            f"episode_key = '{EPISODE}'",
            episode_key=_NTH.format("ep"),
        ),
    ],
    "statuses_are_known": _copies(
        "core.fct_session",
        60,
        f"session_key = '{LOOSE}'",
        session_key=_NTH.format("se"),
        status="'unknown'",
    ),
    # Every start at noon; coded as group, since noon is when all of them meet.
    "sessions_have_a_time_of_day": [
        "delete from core.fct_session where session_number is null",
        "update core.fct_episode set n_missed = 0",
        "update core.fct_session set modality = 'group', started_at ="
        " session_date::timestamp + interval 12 hour + to_microseconds(session_number)",
    ],
    "episode_client_exists": _changed(
        "core.fct_episode",
        f"episode_key = '{EPISODE}'",
        episode_key=f"'ep_{_KEY}'",
        client_key=f"'cl_{_KEY}'",
        n_attended="0",
        n_missed="0",
    ),
    "episode_therapist_exists": _episode(f"therapist_key = 'th_{_KEY}'"),
    "episode_counts_its_sessions": _episode("n_attended = 7"),
    "episode_misses_at_most_its_sessions": _episode("n_missed = 7"),
    "episode_ends_after_it_opens": _changed(
        "core.fct_episode",
        f"episode_key = '{EPISODE}'",
        episode_key=f"'ep_{_KEY}'",
        n_attended="0",
        n_missed="0",
        episode_status="'closed'",
        closed_on="opened_on - 1",
    ),
    "closed_episode_has_end": _episode("closure_reason = 'completed'"),
    "dropout_is_of_one_rule": _episode("dropout_rule = 'inactivity'"),
    "dropout_of_closed_episodes": _episode("dropout = true"),
    "episode_opened_on_plausible": _episode("opened_on = date '1900-01-01'"),
    "diagnosis_client_exists": _changed(
        "core.fct_diagnosis",
        "true",
        client_key=f"'cl_{_KEY}'",
        episode_key="null::varchar",
    ),
    "diagnosis_episode_exists": _changed(
        "core.fct_diagnosis", "true", episode_key=f"'ep_{_KEY}'"
    ),
    "one_primary_diagnosis": _changed(
        "core.fct_diagnosis", "is_primary and episode_key is not null", code="'Z99.9'"
    ),
    "score_client_exists": _form(client_key=f"'cl_{_KEY}'"),
    "score_episode_exists": _form(episode_key=f"'ep_{_KEY}'"),
    "score_session_exists": _form(session_key=f"'se_{_KEY}'"),
    "score_session_agrees": _form(session_key=f"'{SESSIONS[0]}'", session_number="2"),
    "score_within_range": _form(score="200"),
    "valid_score_has_scale": _form(instrument="'NEW-9'"),
    "valid_score_has_value": _form(score="null"),
    "answered_at_most_items": _form(n_answered="21"),
    "form_has_a_total": _form(subscale="'b'", score="3", n_answered="5", n_items="5"),
    "most_forms_are_valid": _form(3000, **_NOT_VALID),
    "forms_hang_on_sessions": _form(
        400,
        instrument="'WAI-SR'",
        score="1 + (n % 5)",
        n_answered="12",
        n_items="12",
    ),
    "scores_are_not_all_at_an_end": _form(
        2000, instrument="'GAD-7'", score="21", n_answered="7", n_items="7"
    ),
    # --- alliance
    "fct_alliance_session_one_row_a_key": _again(
        "alliance.fct_alliance_session",
        "rowid = (select min(rowid) from alliance.fct_alliance_session"
        " where gap_total is null and gap_goal is null)",
    ),
    "fct_rupture_one_row_a_key": _again(
        "alliance.fct_rupture",
        "instrument = 'SRS' and rowid = (select min(rowid) from alliance.fct_rupture where"
        " instrument = 'SRS')",
    ),
    "rupture_cohort_one_row_a_key": _again(
        "alliance.rupture_cohort", f"episode_key = '{EPISODE}'"
    ),
    "trajectory_by_session_one_row_a_key": _again("alliance.trajectory_by_session"),
    "alliance_session_is_attended": (
        f"update alliance.fct_alliance_session set session_date = session_date + 1"
        f" where {_PLAIN}"
    ),
    "alliance_scores_within_range": (
        "update alliance.fct_alliance_session set client_goal = 9,"
        f" gap_goal = therapist_goal - 9 where {_PLAIN}"
    ),
    "alliance_total_has_its_form": (
        "update alliance.fct_alliance_session set client_total = client_total + 0.01,"
        f" gap_total = therapist_total - client_total - 0.01 where {_PLAIN}"
    ),
    "alliance_gap_adds_up": (
        f"update alliance.fct_alliance_session set gap_goal = gap_goal + 1 where {_PLAIN}"
    ),
    "alliance_band_with_total": (
        f"update alliance.fct_alliance_session set band = null where {_PLAIN}"
    ),
    "alliance_bands_are_ordered": (
        f"update alliance.fct_alliance_session set band = 'weak' where {_PLAIN}"
    ),
    "open_rupture_has_its_rupture": (
        f"update alliance.fct_alliance_session set in_open_rupture = true where {_PLAIN}"
    ),
    "rupture_episode_exists": _changed(
        "alliance.fct_rupture",
        "true",
        rupture_key=f"'{_KEY}'",
        episode_key=f"'ep_{_KEY}'",
    ),
    "rupture_is_of_its_episodes_client": (
        f"update alliance.fct_rupture set client_key = '{CLIENT}' where {_RESOLVED}"
    ),
    "rupture_onset_is_a_session": (
        f"update alliance.fct_rupture set onset_date = onset_date - 1 where {_UNREPAIRED}"
    ),
    "rupture_method_is_known": _changed(
        "alliance.fct_rupture", "true", rupture_key=f"'{_KEY}'", method="'mine'"
    ),
    "rupture_drop_adds_up": (
        f"update alliance.fct_rupture set drop_size = drop_size + 1 where {_RESOLVED}"
    ),
    "rupture_repair_agrees": (
        "update alliance.fct_rupture set status = 'late_repair', shape = 'u'"
        f" where {_UNREPAIRED}"
    ),
    "rupture_sessions_to_repair_add_up": (
        f"update alliance.fct_rupture set sessions_to_repair = 9 where {_RESOLVED}"
    ),
    "rupture_shape_agrees": (
        f"update alliance.fct_rupture set shape = 'l' where {_RESOLVED}"
    ),
    "rupture_first_seen_after_onset": (
        "update alliance.fct_rupture set first_seen_at = onset_date - interval 5 day"
        f" where {_RESOLVED}"
    ),
    # On an instrument that no cohort reads, so that only their number is wrong.
    "ruptures_are_not_everywhere": _copies(
        "alliance.fct_rupture",
        200,
        _UNREPAIRED,
        rupture_key="rupture_key || n",
        instrument="'WAI-S'",
    ),
    "cohort_episode_exists": _changed(
        "alliance.rupture_cohort",
        "pattern = 'insufficient'",
        episode_key=f"'ep_{_KEY}'",
    ),
    "cohort_has_every_episode": (
        f"delete from alliance.rupture_cohort where episode_key = '{EPISODE}'"
    ),
    "cohort_agrees_with_ruptures": (
        "update alliance.rupture_cohort set n_ruptures = n_ruptures + 1"
        " where pattern = 'pending'"
    ),
    "cohort_repairs_at_most_ruptures": (
        "update alliance.rupture_cohort set n_repaired = 0 where pattern = 'repaired'"
    ),
    "cohort_first_rupture_agrees": (
        "update alliance.rupture_cohort set first_rupture_session = null"
        " where pattern = 'repaired'"
    ),
    "trajectory_hides_small_cells": (
        "update alliance.trajectory_by_session set n_episodes = 3"
        " where rowid = (select min(rowid) from alliance.trajectory_by_session"
        " where suppressed)"
    ),
    "trajectory_session_in_range": _changed(
        "alliance.trajectory_by_session", "suppressed", session_number="27"
    ),
    "trajectory_mean_within_range": (
        "update alliance.trajectory_by_session set mean_score = 90"
        " where rowid = (select min(rowid) from alliance.trajectory_by_session"
        " where not suppressed)"
    ),
    # --- therapist markers and strengthening work
    "fct_therapist_marker_one_row_a_key": _again("alliance.fct_therapist_marker"),
    "fct_strengthening_one_row_a_key": _again("alliance.fct_strengthening"),
    "marker_session_is_attended": (
        "update alliance.fct_therapist_marker set session_number = session_number + 1"
        " where rowid = 0"
    ),
    "strengthening_session_is_attended": (
        "update alliance.fct_strengthening set session_number = session_number + 1"
        " where rowid = 0"
    ),
    "marker_items_within_range": (
        "update alliance.fct_therapist_marker set frustration = 9, strain_sum = 9 + effort"
        " + helpless + self_doubt + goals_inconsistent where rowid = 0"
    ),
    "marker_sum_adds_up": (
        "update alliance.fct_therapist_marker set strain_sum = 19 where rowid = 0"
    ),
    "strengthening_names_work": (
        "update alliance.fct_strengthening set destigmatize = false, compassion = false,"
        " co_create = false where rowid = 0"
    ),
    "strengthening_rupture_exists": (
        "update alliance.fct_strengthening set after_rupture = 'nowhere',"
        " repaired_after = null where rowid = 0"
    ),
    "strengthening_repair_agrees": (
        "update alliance.fct_strengthening set repaired_after ="
        " not coalesce(repaired_after, false) where rowid = 0"
    ),
    # --- congruence and goals
    "fct_congruence_one_row_a_key": _again("alliance.fct_congruence"),
    "fct_goal_overlap_one_row_a_key": _again("alliance.fct_goal_overlap"),
    "congruence_episode_exists": _changed(
        "alliance.fct_congruence",
        "true",
        episode_key=f"'ep_{_KEY}'",
        n_pairs="null::integer",
    ),
    "congruence_pairs_agree": (
        "update alliance.fct_congruence set n_pairs = n_pairs + 1 where rowid = 0"
    ),
    "congruence_correlation_in_range": (
        "update alliance.fct_congruence set correlation = 1.2 where rowid = 0"
    ),
    "congruence_gap_adds_up": (
        "update alliance.fct_congruence set mean_gap = 3, abs_gap = 1, direction ="
        " 'therapist_higher' where rowid = 0"
    ),
    "goal_mismatch_on_goal_alone": (
        "update alliance.fct_congruence set goal_mismatch = true where rowid ="
        " (select min(rowid) from alliance.fct_congruence where component = 'total')"
    ),
    "goal_overlap_episode_exists": _changed(
        "alliance.fct_goal_overlap", "true", episode_key=f"'ep_{_KEY}'"
    ),
    "goal_overlap_adds_up": (
        "update alliance.fct_goal_overlap set overlap = 0.99, n_client_goals = 2,"
        " n_therapist_goals = 2, n_shared = 1 where rowid = 0"
    ),
    "goal_inconsistent_after_revision": (
        "update alliance.fct_goal_overlap set is_inconsistent = true,"
        " n_therapist_revisions = 0 where rowid = 0"
    ),
    # --- outcomes
    "fct_episode_outcome_one_row_a_key": _again("outcomes.fct_episode_outcome"),
    "fct_stall_one_row_a_key": _again("outcomes.fct_stall"),
    "outcome_episode_exists": [
        _form(
            episode_key=f"'{EPISODE}'",
            instrument="'ORS'",
            score="30",
            n_items="4",
            n_answered="4",
        ),
        _changed(
            "outcomes.fct_episode_outcome",
            "n_scores = 1",
            episode_key=f"'ep_{_KEY}'",
            n_scores="null::integer",
        ),
    ],
    "outcome_change_adds_up": (
        "update outcomes.fct_episode_outcome set change = 5 where rowid ="
        " (select min(rowid) from outcomes.fct_episode_outcome where n_scores = 1)"
    ),
    "outcome_scores_within_range": (
        "update outcomes.fct_episode_outcome set last_score = 900, first_score = 900 -"
        " coalesce(change, 0) where rowid = 0"
    ),
    "outcome_class_agrees": (
        "update outcomes.fct_episode_outcome set clinical_class = 'recovered'"
        " where rowid = (select min(rowid) from outcomes.fct_episode_outcome"
        " where n_scores = 1)"
    ),
    "outcome_early_alliance_is_one": (
        "update outcomes.fct_episode_outcome set early_alliance_band = null"
        " where rowid = (select min(rowid) from outcomes.fct_episode_outcome"
        " where early_alliance is not null)"
    ),
    "outcome_counts_its_forms": (
        "update outcomes.fct_episode_outcome set n_scores = 0 where rowid ="
        " (select min(rowid) from outcomes.fct_episode_outcome where n_scores = 1)"
    ),
    "stall_episode_exists": _changed(
        "outcomes.fct_stall", "true", episode_key=f"'ep_{_KEY}'"
    ),
    "stall_resumption_agrees": (
        "update outcomes.fct_stall set resumed_session_number = stall_session_number + 1,"
        " status = 'open', episode_key ="
        f" '{EPISODE}' where rowid = 0"
    ),
    "stall_status_agrees_with_episode": (
        "update outcomes.fct_stall set status = 'closed', resumed_session_number = null,"
        f" episode_key = '{EPISODE}' where rowid = 0"
    ),
    # --- care signals
    "fct_care_signal_one_row_a_key": _again("outcomes.fct_care_signal"),
    "signal_client_exists": (
        f"update outcomes.fct_care_signal set client_key = 'cl_{_KEY}' where rowid = 0"
    ),
    "signal_is_known": (
        "update outcomes.fct_care_signal set signal = 'hunch' where rowid = 0"
    ),
    "signal_close_agrees": (
        "update outcomes.fct_care_signal set closed_reason = null where rowid ="
        " (select min(rowid) from outcomes.fct_care_signal where status <> 'open')"
    ),
    "signal_closes_after_it_opens": (
        "update outcomes.fct_care_signal set closed_on = opened_on - 3, closed_reason ="
        " 'settled' where rowid = (select min(rowid) from outcomes.fct_care_signal"
        " where status <> 'open')"
    ),
    "signal_detected_after_it_opened": (
        "update outcomes.fct_care_signal set first_detected_at = opened_on - interval 5 day"
        " where rowid = 0"
    ),
    "signal_evidence_holds_no_id": (
        "update outcomes.fct_care_signal set evidence ="
        f' \'{{"who": "{CLIENT}"}}\' where rowid = 0'
    ),
    "signal_instrument_where_it_is_of_one": (
        "update outcomes.fct_care_signal set signal = 'disengagement', instrument ="
        " 'PCL-5' where rowid = 0"
    ),
    "rupture_signal_has_its_rupture": (
        "update outcomes.fct_care_signal set signal = 'rupture', instrument = 'WAI-SR',"
        f" episode_key = '{EPISODE}', status = 'open', closed_on = null, closed_reason ="
        " null where rowid = 0"
    ),
    # --- a research package
    "extract_clients_one_row_a_person": _again("data.clients"),
    "extract_episodes_one_row_a_key": _again("data.episodes"),
    "extract_clients_ids_are_pseudonyms": (
        f"insert into data.clients select * replace ('{CLIENT}' as client_id)"
        " from data.clients where rowid = 0"
    ),
    **{
        f"extract_{table}_ids_are_pseudonyms": (
            f"update data.{table} set episode_id = '{EPISODE}' where rowid = 0"
        )
        for table in ("episodes", "sessions", "alliance", "ruptures", "outcomes")
    },
    **{
        f"extract_{table}_client_exists": (
            f"update data.{table} set client_id = 'ZZZZZZZZZZZZZZZZ' where rowid = 0"
        )
        for table in ("episodes", "sessions", "alliance", "ruptures", "outcomes")
    },
    "extract_sessions_weeks_in_range": (
        "update data.sessions set week_index = -1 where rowid = 0"
    ),
    "extract_alliance_weeks_in_range": (
        "update data.alliance set week_index = 200 where rowid = 0"
    ),
    "extract_session_number_in_range": (
        "update data.sessions set session_number = 27 where rowid = 0"
    ),
    "extract_closure_reason_is_reduced": (
        "update data.episodes set closure_reason = 'deceased' where rowid = 0"
    ),
    "extract_drop_ratio_is_rounded": (
        "update data.ruptures set drop_ratio = 1.2345 where rowid = 0"
    ),
    "extract_ages_are_bands": "update data.clients set age_band = '34' where rowid = 0",
}
