"""From QuestionnaireResponses and Observations to measures and their items.

The same answers may come as a response, as one Observation an item, as a panel and as a
total. They are one administration: what is linked (derivedFrom, hasMember, components)
belongs together, then what is of one client, form and moment. Items win; a total is
reported beside them; a panel is not a score.
"""

from __future__ import annotations

import duckdb

from rapport.ingest.fhir.linking import base_of, linked, owner_of
from rapport.ingest.fhir.reading import structure
from rapport.ingest.fhir.schema import ANSWER_CODING, ITEMS, QUANTITY, QUESTIONS
from rapport.ingest.fhir.tables import Tables

_MAX_ITEM_LEVELS = 16
# `12`, `12 / 27`: the number that a score begins with, when nothing but its scale follows.
_SCORE = r"^\s*([+-]?\d+(?:\.\d+)?)\s*(?:/\s*\d+(?:\.\d+)?\s*)?$"
# linkIds such as 3, q3, PHQ.3, phq9_03; never a LOINC code, whose last digit is a check.
_NUMBERED = r"(?:^|[^0-9A-Za-z])(?:q|item|question)?0*([1-9][0-9]?)$"
_LOINC_LIKE = r"\d{3,}-\d$"
_REMOVED = "('entered-in-error', 'cancelled')"
_NOT_FINAL = "('registered', 'preliminary', 'in-progress', 'stopped')"
# PHQ-2 is the first two items of PHQ-9: alone, they are not a PHQ-9 with seven missing.
_SHARED = "{of}.instrument = 'PHQ-9' and {of}.item in ('1', '2')"
_WEIGHT = (
    "list_filter({coding}.extension, e -> e.url in"
    " ('http://hl7.org/fhir/StructureDefinition/ordinalValue',"
    " 'http://hl7.org/fhir/StructureDefinition/itemWeight'))[1].valueDecimal"
)


def make_measures(con: duckdb.DuckDBPyConnection, tables: Tables) -> None:
    """Make ``out_measures`` and ``out_measure_items``."""
    if not tables.kinds & {"QuestionnaireResponse", "Observation"}:
        return
    _questionnaires(con)
    _responses(con, tables)
    if "Observation" in tables.kinds:
        _observations(con, tables)
    _write(con, tables.kinds)


# --- questionnaires -----------------------------------------------------------------


def _questionnaires(con: duckdb.DuckDBPyConnection) -> None:
    """Lay what each delivered Questionnaire is, and what its questions mean."""
    con.execute(
        f"""
        create temp table fh_question as
        with recursive level as (
            select coalesce(url, id) as form, 1 as depth, unnest(item) as q
            from fh_Questionnaire where resourceType = 'Questionnaire'
            union all
            select form, depth + 1,
                unnest(json_transform(q.item, '{structure(QUESTIONS)}'))
            from level where q.item is not null and depth < {_MAX_ITEM_LEVELS}
        )
        select form, q.linkId as link_id, q.code as codings, q.answerOption as options
        from level
        """
    )
    con.execute(
        """
        create temp table fh_delivered_form as
        select said.url, said.id, coalesce(
            min(own.instrument), min(coded.instrument), min(named.instrument)
        ) as instrument
        from (
            select url, id, name, unnest(case when len(code) > 0 then code
                else [{'system': null, 'code': null}] end) as c
            from fh_Questionnaire where resourceType = 'Questionnaire'
        ) as said
        left join fh_form as own on said.url = own.url
        left join fh_code as coded
            on coded.role = 'panel' and said.c.code = coded.code
            and coalesce(said.c.system, '') = coded.system
        left join fh_form_name as named
            on regexp_replace(lower(said.name), '[^a-z0-9]', '', 'g') = named.name
        group by said.url, said.id
        """
    )
    con.execute(
        f"""
        create temp table fh_option as
        select form, link_id, o.valueCoding.code as code, max(coalesce(
            {_WEIGHT.format(coding="o.valueCoding")}, {_WEIGHT.format(coding="o")}
        )) as value
        from (select form, link_id, unnest(options) as o from fh_question)
        group by all having value is not null
        """
    )


# --- responses ----------------------------------------------------------------------


def _responses(con: duckdb.DuckDBPyConnection, tables: Tables) -> None:
    kind = "QuestionnaireResponse"
    con.execute(
        f"create temp table f_{kind} as select said.*, subject_id as subject,"
        " split_part(canonical, '|', 1) as form,"
        " regexp_extract(split_part(canonical, '|', 1), '([^/#]+)$', 1) as form_id"
        " from ("
        + linked(
            f"""
            select
                {base_of(kind)}, status, authored, item, subject as subject_ref,
                encounter as encounter_ref, source as source_ref, author as author_ref,
                case
                    when questionnaire like '#%'
                        then {owner_of(kind)} || questionnaire
                    when questionnaire like '{{%' then questionnaire ->> '$.reference'
                    else questionnaire
                end as canonical
            from fh_{kind} where resourceType = '{kind}'
            """,
            "subject",
            "encounter",
            "source",
            "author",
        )
        + ") as said"
    )
    tables.settle(kind)
    tables.drop_rows(kind, "not_final", f"status in {_NOT_FINAL}")
    _name_forms(con)
    _answers(con)
    _score_responses(con, tables)


def _name_forms(con: duckdb.DuckDBPyConnection) -> None:
    """Say which form a response is, by its questionnaire: told, delivered, or named."""
    con.execute(
        """
        create temp table fh_known_form as
        with forms as (select distinct form, form_id from f_QuestionnaireResponse)
        select
            forms.form,
            coalesce(
                min(own.instrument), min(by_url.instrument), min(by_id.instrument),
                min(coded.instrument), min(named.instrument)
            ) as instrument,
            coalesce(min(own.rater), min(named.rater)) as rater,
            min(own.version) as version,
            coalesce(min(by_url.url), min(by_id.url), min(by_id.id)) as delivered
        from forms
        left join fh_form as own on forms.form = own.url
        left join fh_delivered_form as by_url on forms.form = by_url.url
        left join fh_delivered_form as by_id
            on by_id.id in (forms.form_id, forms.form)
        left join fh_code as coded
            on coded.role = 'panel' and coded.system = '' and forms.form_id = coded.code
        left join fh_form_name as named
            on regexp_replace(lower(forms.form_id), '[^a-z0-9]', '', 'g') = named.name
        group by forms.form
        """
    )


def _answers(con: duckdb.DuckDBPyConnection) -> None:
    """Lay one row an answer of any depth: its response, linkId and value as text."""
    con.execute(
        "create temp table fh_level as select rowid as response, form,"
        " unnest(item) as i from f_QuestionnaireResponse"
    )
    con.execute(
        "create temp table fh_said (response bigint, form varchar, link_id varchar,"
        " system varchar, code varchar, value varchar, is_answered boolean)"
    )
    for level in range(_MAX_ITEM_LEVELS):
        con.execute(
            f"""
            insert into fh_said
            select
                response, form, link_id, coding.system, coding.code,
                coalesce(
                    case when quantity.comparator is null then quantity.value end,
                    a.valueInteger, a.valueDecimal,
                    {_WEIGHT.format(coding="coding")},
                    nullif(regexp_extract(a.valueString, '{_SCORE}', 1), '')
                ),
                coalesce(
                    quantity.value, a.valueInteger, a.valueDecimal,
                    a.valueString, a.valueBoolean, coding.code
                ) is not null
            from (
                select
                    *,
                    case when a.valueCoding is not null then json_transform(
                        a.valueCoding, '{structure(ANSWER_CODING)}') end as coding,
                    case when a.valueQuantity is not null then json_transform(
                        a.valueQuantity, '{structure(QUANTITY)}') end as quantity
                from (
                    select response, form, i.linkId as link_id, unnest(i.answer) as a
                    from fh_level
                )
            )
            """
        )
        if level == 0 and not _one(
            con,
            "select count(*) from fh_level where i.item is not null"
            " or len(list_filter(i.answer, a -> a.item is not null)) > 0",
        ):
            break
        con.execute(
            f"""
            create or replace temp table fh_level as
            with below as (
                select response, form, unnest(list_append(
                    list_transform(i.answer, a -> a.item), i.item)) as items
                from fh_level
            )
            select response, form,
                unnest(json_transform(items, '{structure(ITEMS)}')) as i
            from below where items is not null
            """
        )
        if not _one(con, "select count(*) from fh_level"):
            break
    con.execute("drop table fh_level")


def _score_responses(con: duckdb.DuckDBPyConnection, tables: Tables) -> None:
    # What each linkId of each form means is worked out once, not for every answer.
    con.execute(
        f"""
        create temp table fh_meaning as
        with asked as (
            select distinct said.form, said.link_id, known.instrument as named,
                known.delivered,
                regexp_extract(said.link_id, '([^/]+)$', 1) as last_part
            from fh_said as said
            left join fh_known_form as known on said.form = known.form
        ),
        question as (
            select asked.form, asked.link_id, asked.named,
                coalesce(q.codings, []) as codings
            from asked
            inner join fh_question as q
                on asked.delivered = q.form and asked.link_id = q.link_id
        ),
        coded as (
            select form, link_id, named, c.system, c.code
            from (select form, link_id, named, unnest(codings) as c from question)
            union all
            select form, link_id, named, '', last_part from asked
        ),
        by_code as (
            select coded.form, coded.link_id, code.instrument, code.role, code.item,
                2 as place
            from coded
            inner join fh_code as code
                on coded.code = code.code and coalesce(coded.system, '') = code.system
            where (coded.named is null or coded.named = code.instrument)
                and code.role <> 'panel'
        ),
        told as (
            select asked.form, asked.link_id, asked.named as instrument, 'item' as role,
                item.item, 1 as place
            from asked
            inner join fh_form_item as item
                on asked.form = item.url and asked.link_id = item.link_id
        ),
        numbered as (
            select asked.form, asked.link_id, asked.named as instrument, 'item' as role,
                registry.item, 3 as place
            from asked
            inner join fh_item as registry
                on asked.named = registry.instrument
                and regexp_extract(asked.link_id, '{_NUMBERED}', 1) = registry.item
            where not regexp_matches(asked.link_id, '{_LOINC_LIKE}')
                and not exists (
                    select 1 from question
                    where question.form = asked.form
                        and question.link_id = asked.link_id
                        and len(question.codings) > 0
                )
                and not exists (select 1 from fh_form_item where url = asked.form)
        ),
        said as (from told union all from by_code union all from numbered)
        select distinct form, link_id, instrument, role, item
        from said
        qualify place = min(place) over (partition by form, link_id)
        """
    )
    con.execute(
        """
        create temp table fh_scored as
        select
            said.response, meaning.instrument, meaning.role, meaning.item,
            coalesce(
                said.value, answer.value, offered.value,
                case when said.is_answered then '?' end
            ) as value
        from fh_said as said
        inner join fh_meaning as meaning
            on coalesce(said.form, '') = coalesce(meaning.form, '')
            and said.link_id = meaning.link_id
        left join fh_answer as answer
            on coalesce(said.system, '') = answer.system and said.code = answer.code
        left join fh_known_form as known on said.form = known.form
        left join fh_option as offered
            on known.delivered = offered.form and said.link_id = offered.link_id
            and said.code = offered.code
        """
    )
    con.execute("drop table fh_said")
    con.execute(
        f"""
        create temp table fh_response as
        with forms as (
            select said.rowid as response, known.instrument, known.rater, known.version
            from f_QuestionnaireResponse as said
            inner join fh_known_form as known on said.form = known.form
            inner join (select distinct instrument from fh_item) as registry
                on known.instrument = registry.instrument
            union all
            -- A questionnaire that nothing names is what its coded items are.
            select scored.response, scored.instrument, null, null
            from fh_scored as scored
            inner join f_QuestionnaireResponse as said on scored.response = said.rowid
            left join fh_known_form as known on said.form = known.form
            where known.instrument is null
            group by scored.response, scored.instrument
            having bool_or(role = 'item' and not ({_SHARED.format(of="scored")})) or bool_or(role = 'total')
        ),
        counted as (
            select *, count(*) over (partition by response) as n_forms from forms
        )
        select
            forms.response, forms.instrument, forms.version,
            said.file_no, said.row_no, said.id as response_id,
            said.id || case when n_forms > 1 then '|' || forms.instrument else '' end
                as administration_id,
            said.subject_id as client_id, said.encounter_id as session_id,
            said.authored as administered_at, said.updated,
            said.status in {_REMOVED} as is_removed,
            coalesce(
                forms.rater,
                case said.source_kind
                    when 'Patient' then 'client' when 'Practitioner' then 'therapist'
                    when 'PractitionerRole' then 'therapist'
                    when 'RelatedPerson' then 'observer'
                end,
                case when said.source_id is null and said.author_kind = 'Patient'
                    then 'client' end,
                case when said.source_id is null then sole.rater end
            ) as rater,
            case when said.source_kind = 'Practitioner' then said.source_id end
                as therapist_id
        from counted as forms
        inner join f_QuestionnaireResponse as said on forms.response = said.rowid
        left join fh_only_rater as sole on forms.instrument = sole.instrument
        """
    )
    con.execute(
        "insert into fh_filtered select file_no, row_no, 'measures', 'not_an_instrument'"
        " from f_QuestionnaireResponse where rowid not in"
        " (select response from fh_response)"
    )


# --- observations -------------------------------------------------------------------


def _observed(alias: str) -> str:
    """Return SQL of a value[x] as a number in text; absent and compared are null."""
    coding = f"{alias}.valueCodeableConcept.coding"
    return (
        f"case when {alias}.dataAbsentReason is null then coalesce("
        f"case when {alias}.valueQuantity.comparator is null"
        f" then {alias}.valueQuantity.value end,"
        f" {alias}.valueInteger, {alias}.valueDecimal,"
        f" nullif(regexp_extract({alias}.valueString, '{_SCORE}', 1), ''),"
        f" {_WEIGHT.format(coding=f'{coding}[1]')},"
        f" list_filter(list_transform({coding}, c -> fh_answer_value(c.system, c.code)),"
        " v -> v is not null)[1],"
        f" case when {alias}.valueString is not null or len({coding}) > 0"
        " then '?' end) end"
    )


def _observations(con: duckdb.DuckDBPyConnection, tables: Tables) -> None:
    answers = con.execute("select system, code, value from fh_answer").fetchall()
    whens = " ".join(
        f"when coalesce(s, '') = {_text(system)} and c = {_text(code)} then {_text(value)}"
        for system, code, value in answers
    )
    con.execute(
        f"create or replace temp macro fh_answer_value(s, c) as case {whens} end"
    )
    kind = "Observation"
    con.execute(
        f"create temp table f_{kind} as select said.*, subject_id as subject from ("
        + linked(
            f"""
            select
                {base_of(kind)}, status, code.coding as codings, subject as subject_ref,
                encounter as encounter_ref, performer[1] as performer_ref,
                coalesce(effectiveDateTime, effectiveInstant, effectivePeriod."start",
                    issued) as taken_at,
                {_observed("said")} as value,
                list_transform(component, c -> {{
                    'codings': c.code.coding, 'value': {_observed("c")}
                }}) as parts,
                hasMember as members, derivedFrom as sources
            from fh_{kind} as said where resourceType = '{kind}'
            """,
            "subject",
            "encounter",
            "performer",
        )
        + ") as said"
    )
    tables.settle(kind)
    tables.drop_rows(kind, "not_final", f"status in {_NOT_FINAL}")
    _scored_observations(con)
    _anchor(con)
    _one_administration(con)
    _group(con)


def _scored_observations(con: duckdb.DuckDBPyConnection) -> None:
    """Lay one row a score, item or panel that an Observation or its component holds."""
    con.execute(
        """
        create temp table fh_observed as
        with part as (
            select rowid as observation, codings, value, false as is_part
            from f_Observation
            union all
            select observation, p.codings, p.value, true
            from (select rowid as observation, unnest(parts) as p from f_Observation)
        ),
        coded as (
            select observation, value, is_part, c, n
            from (
                select observation, value, is_part, unnest(codings) as c,
                    generate_subscripts(codings, 1) as n
                from part
            )
        )
        select
            coded.observation, coded.value, coded.is_part, code.instrument, code.role,
            code.item, code.rater, code.version
        from coded
        inner join fh_code as code
            on coded.c.code = code.code and coalesce(coded.c.system, '') = code.system
        """
    )
    for name, column in (("fh_member", "members"), ("fh_source", "sources")):
        con.execute(
            f"create temp table {name} as "
            + linked(
                "select observation, bundle_no, owner, unnest(said) as other_ref from"
                f" (select rowid as observation, bundle_no, owner, {column} as said"
                f" from f_Observation where len({column}) > 0)",
                "other",
            )
        )


def _anchor(con: duckdb.DuckDBPyConnection) -> None:
    """Say what each Observation hangs on: a response, a panel, or nothing."""
    con.execute(
        """
        create temp table fh_anchor as
        with response as (
            select observation, min(other_id) as id
            from fh_source where other_kind = 'QuestionnaireResponse'
            group by observation
        ),
        edge as (
            -- member -> panel
            select child.rowid as observation, member.observation as panel
            from fh_member as member
            inner join f_Observation as child on member.other_id = child.id
        ),
        panel as (
            select observation, min(panel) as panel from edge group by observation
        ),
        own as (
            select
                said.rowid as observation,
                coalesce(mine.id, theirs.id) as response_id,
                case
                    when panel.panel is not null then panel.panel
                    when said.rowid in (select panel from edge)
                        or exists (
                            select 1 from fh_observed as o
                            where o.observation = said.rowid and o.is_part
                        )
                        then said.rowid
                end as panel
            from f_Observation as said
            left join response as mine on said.rowid = mine.observation
            left join panel on said.rowid = panel.observation
            left join response as theirs on panel.panel = theirs.observation
            where said.rowid in (select observation from fh_observed)
        ),
        -- A total that says which items it comes from belongs where they do.
        lent as (
            select source.observation, min(own.response_id) as response_id,
                min(own.panel) as panel
            from fh_source as source
            inner join f_Observation as origin on source.other_id = origin.id
            inner join own on origin.rowid = own.observation
            where source.other_kind is distinct from 'QuestionnaireResponse'
            group by source.observation
        )
        select
            own.observation,
            coalesce(own.response_id, lent.response_id) as response_id,
            coalesce(own.panel, lent.panel) as panel
        from own
        left join lent on own.observation = lent.observation
        """
    )


def _one_administration(con: duckdb.DuckDBPyConnection) -> None:
    """Give every scored Observation the administration that it is part of."""
    con.execute(
        f"""
        create temp table fh_part as
        with scored as (
            select
                observed.* exclude (rater),
                coalesce(
                    observed.rater, sole.rater,
                    case said.performer_kind when 'Patient' then 'client'
                        when 'Practitioner' then 'therapist'
                        when 'PractitionerRole' then 'therapist' end
                ) as rater,
                said.file_no, said.row_no, said.id, said.subject_id,
                said.encounter_id, said.taken_at, said.updated, said.status,
                said.performer_kind, said.performer_id,
                anchor.response_id, anchor.panel,
                coalesce(try_cast(said.taken_at as timestamptz)::varchar, said.taken_at) as moment,
                left(said.taken_at, 10) as day
            from fh_observed as observed
            inner join f_Observation as said on observed.observation = said.rowid
            left join fh_anchor as anchor on observed.observation = anchor.observation
            left join fh_only_rater as sole on observed.instrument = sole.instrument
            where observed.instrument in (select instrument from fh_item)
        ),
        -- Of one client, form, rater and moment: the response, or panel, of the others.
        moment as (
            select subject_id, instrument, rater, moment,
                min(response_id) as response_id, min(panel) as panel
            from scored group by all
        ),
        response as (
            select client_id, instrument, rater, session_id,
                coalesce(try_cast(administered_at as timestamptz)::varchar,
                    administered_at) as moment,
                left(administered_at, 10) as day, response_id, administration_id
            from fh_response
        ),
        at_moment as (
            select client_id, instrument, rater, moment, min(response_id) as response_id
            from response group by all
        ),
        in_session as (
            select client_id, instrument, rater, session_id, day, min(response_id) as response_id
            from response where session_id is not null
            group by all having count(*) = 1
        ),
        found as (
            select scored.*,
                coalesce(scored.response_id, moment.response_id, at_moment.response_id,
                    in_session.response_id) as of_response,
                coalesce(scored.panel, moment.panel) as of_panel
            from scored
            left join moment
                on scored.subject_id = moment.subject_id
                and scored.instrument = moment.instrument
                and scored.rater is not distinct from moment.rater
                and scored.moment = moment.moment
            left join at_moment
                on scored.subject_id = at_moment.client_id
                and scored.instrument = at_moment.instrument
                and scored.rater = at_moment.rater
                and scored.moment = at_moment.moment
            left join in_session
                on scored.subject_id = in_session.client_id
                and scored.instrument = in_session.instrument
                and scored.rater = in_session.rater
                and scored.encounter_id = in_session.session_id
                and scored.day = in_session.day
        ),
        named as (
            select found.*,
                coalesce(
                    mine.administration_id,
                    found.of_response,
                    'Observation/' || panel.id || case when exists (
                        select 1 from fh_observed as o where o.observation = panel.rowid
                            and not o.is_part and o.instrument = found.instrument
                    ) then '' else '|' || found.instrument end,
                    concat_ws('|', found.instrument, found.rater, found.subject_id,
                        found.taken_at)
                ) as administration_id,
                mine.administration_id is not null as is_in_response
            from found
            left join fh_response as mine
                on found.of_response = mine.response_id
                and found.instrument = mine.instrument
            left join f_Observation as panel on found.of_panel = panel.rowid
        )
        select *, coalesce(status, '') in {_REMOVED} as is_removed from named
        """
    )


def _group(con: duckdb.DuckDBPyConnection) -> None:
    """Lay one row an administration that Observations speak of."""
    con.execute(
        f"""
        create temp table fh_group as
        with grouped as (
            select
                administration_id, instrument,
                min(version) as version,
                -- The panel speaks for its members, then the total, then the first item.
                min_by(observation, (
                    case when role = 'panel' then 0 when role = 'total' then 1 else 2 end,
                    file_no, row_no
                )) as leader,
                min(encounter_id) as session_id,
                max_by(updated, try_cast(updated as timestamptz)) as updated,
                case when min(value) filter (where role = 'total' and not is_removed)
                    = max(value) filter (where role = 'total' and not is_removed)
                    then max(value) filter (where role = 'total' and not is_removed)
                end as total,
                bool_and(is_removed)
                or coalesce(bool_or(is_removed) filter (where role = 'panel'), false)
                    as is_removed,
                bool_or(role = 'total') as has_total,
                bool_or(role = 'panel') as has_panel,
                bool_or(role = 'item') as has_item,
                bool_or(role = 'item' and not ({_SHARED.format(of="fh_part")}))
                    as has_own_item,
                bool_or(is_in_response) as is_in_response,
                bool_or(of_response is not null) as is_of_response
            from fh_part group by administration_id, instrument
        )
        select grouped.*, said.file_no, said.row_no, said.subject_id as client_id, said.taken_at,
            part.rater,
            case when part.performer_kind = 'Practitioner' then part.performer_id end
                as performer_id
        from grouped
        inner join f_Observation as said on grouped.leader = said.rowid
        inner join (
            select observation, instrument, min(rater) as rater,
                min(performer_kind) as performer_kind, min(performer_id) as performer_id
            from fh_part group by all
        ) as part
            on grouped.leader = part.observation and grouped.instrument = part.instrument
        -- A panel alone is the act, not a score; two shared items alone are a PHQ-2.
        where (has_total or has_item)
            and (is_of_response or has_total or has_own_item
                or (has_panel and has_item))
        """
    )


def _write(con: duckdb.DuckDBPyConnection, kinds: set[str]) -> None:
    """Write measures and items: a response's own first, an Observation's beside them."""
    if "Observation" not in kinds:
        con.execute(
            "create temp table fh_group (administration_id varchar, instrument varchar,"
            " total varchar)"
        )
    con.execute(
        """
        insert into out_measures
        select
            said.file_no, said.row_no, row_number() over (
                partition by said.file_no, said.row_no order by said.administration_id
            ), said.administration_id, said.client_id, said.therapist_id,
            said.session_id, said.instrument, said.version, said.rater,
            said.administered_at,
            coalesce(own.total, beside.total), said.updated, said.is_removed::varchar
        from fh_response as said
        left join (
            select response, instrument, case when min(value) = max(value)
                then nullif(min(value), '?') end as total
            from fh_scored where role = 'total' group by all
        ) as own
            on said.response = own.response and said.instrument = own.instrument
        left join fh_group as beside
            on said.administration_id = beside.administration_id
            and said.instrument = beside.instrument
        """
    )
    con.execute(
        """
        create temp table fh_answered as
        select said.file_no, said.row_no, said.administration_id, scored.item, scored.value
        from fh_scored as scored
        inner join fh_response as said
            on scored.response = said.response and scored.instrument = said.instrument
        where scored.role = 'item'
        """
    )
    if "Observation" in kinds:
        _add_observed(con)
    con.execute(
        """
        insert into out_measure_items
        select
            file_no, row_no, row_number() over (partition by file_no, row_no),
            administration_id, item, value
        from fh_answered
        """
    )
    if "Observation" in kinds:
        _account_for_observations(con)


def _add_observed(con: duckdb.DuckDBPyConnection) -> None:
    """Add what only Observations say: administrations, and items of those without any."""
    con.execute(
        """
        insert into out_measures
        select
            file_no, row_no, 4000, administration_id, client_id,
            case when rater = 'therapist' then performer_id end, session_id, instrument,
            version, rater, taken_at, nullif(total, '?'), updated, is_removed::varchar
        from fh_group where not is_in_response
        """
    )
    con.execute(
        """
        insert into fh_answered
        select part.file_no, part.row_no, part.administration_id, part.item, part.value
        from fh_part as part
        semi join fh_group as kept
            on part.administration_id = kept.administration_id
            and part.instrument = kept.instrument
        where part.role = 'item' and not part.is_removed
            and part.administration_id not in (
                select administration_id from fh_answered
            )
        """
    )


def _account_for_observations(con: duckdb.DuckDBPyConnection) -> None:
    """Every Observation is in a row, part of one, or no score at all."""
    con.execute(
        """
        insert into fh_filtered
        select said.file_no, said.row_no, 'measures',
            case when said.rowid in (select observation from fh_part semi join fh_group
                using (administration_id)) then 'part_of_another' else
                'not_an_instrument' end
        from f_Observation as said
        where not exists (
            select 1 from out_measures as made
            where made.file_no = said.file_no and made.row_no = said.row_no
        )
            and not exists (
                select 1 from out_measure_items as made
                where made.file_no = said.file_no and made.row_no = said.row_no
            )
        """
    )


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


def _text(said: str) -> str:
    return "'" + said.replace("'", "''") + "'"
