"""From typed resources to rows of the canonical tables: all but the measures.

Each step leaves ``out_<table>``: the member, the place in it, and the canonical columns
as text, which then go through the door as the cells of any other export do. What makes
no row is named in ``fh_filtered``.
"""

from __future__ import annotations

import duckdb

from rapport.ingest.fhir.linking import base_of, linked, owner_of
from rapport.ingest.fhir.schema import HOME_TABLE
from rapport.mapping import BY_NAME
from rapport.mapping.fhir import FhirMapping

_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
_TIMEZONE = "http://hl7.org/fhir/StructureDefinition/timezone"
# A tombstone that no later version of the appointment itself can undo.
_LAST = "9999-12-31T23:59:59Z"


class Tables:
    """The steps, over one delivery's typed resources."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        mapping: FhirMapping,
        kinds: set[str],
        received_on: str,
    ) -> None:
        self.con, self.mapping, self.received_on = con, mapping, received_on
        self.kinds = kinds
        con.execute(
            "create temp table fh_filtered (file_no integer, row_no bigint,"
            " table_name varchar, reason varchar)"
        )
        con.execute("create temp table fh_conflicting (id varchar)")
        for name, table in BY_NAME.items():
            columns = ", ".join(f'"{c.name}" varchar' for c in table.columns)
            con.execute(
                f"create temp table out_{name} (file_no integer, row_no bigint,"
                f" part bigint, {columns})"
            )

    def make(self) -> None:
        """Make every table but measures and their items."""
        # A step without its resources would only cost; what later ones join is laid empty.
        if "Patient" in self.kinds:
            self._clients()
        self._staff()
        if self.kinds & {"Organization", "Location"}:
            self._clinics()
        else:
            self.con.execute(
                "create temp table fh_place (id varchar, clinic_id varchar)"
            )
        if "EpisodeOfCare" in self.kinds:
            self._episodes()
        if self.kinds & {"Condition", "Encounter", "Appointment"}:
            self._diagnoses()
        if self.kinds & {"Encounter", "Appointment"}:
            self._encounters()
            self._appointments()
        if "Goal" in self.kinds:
            self._goals()

    # --- shared ---------------------------------------------------------------------

    def settle(self, kind: str) -> None:
        """Keep one version of each id of ``f_<kind>``; put conflicting ids aside.

        An id with several subjects in one delivery is nobody's; nor is what is said
        about a client whose own id is.
        """
        con, table = self.con, HOME_TABLE[kind]
        if kind not in self.kinds:
            return
        con.execute(
            f"""
            create temp table fh_again as
            select
                said.rowid as place,
                said.file_no,
                said.row_no,
                case
                    when clients.id is not null or ids.n_subjects > 1 then 'id_conflict'
                    else 'repeated'
                end as reason,
                row_number() over (
                    partition by said.id
                    order by
                        try_cast(said.updated as timestamptz) desc nulls last,
                        said.file_no desc,
                        said.row_no desc
                ) as version_rank
            from f_{kind} as said
            left join (
                select id, count(distinct subject) as n_subjects
                from f_{kind} where id is not null
                group by id having count(*) > 1
            ) as ids on said.id = ids.id
            left join fh_conflicting as clients on said.subject = clients.id
            where ids.id is not null or clients.id is not null
            """
        )
        if not con.execute("select 1 from fh_again limit 1").fetchall():
            con.execute("drop table fh_again")
            return
        con.execute(
            "delete from fh_again where reason = 'repeated' and version_rank = 1"
        )
        con.execute(
            "insert into fh_filtered select file_no, row_no, ?, reason"
            " from fh_again where reason = 'repeated'",
            [table],
        )
        con.execute(
            f"insert into fh_bad select said.file_no, said.row_no, ?, reason,"
            f" to_json(said)::varchar from fh_again inner join f_{kind} as said"
            " on fh_again.place = said.rowid where reason = 'id_conflict'",
            [table],
        )
        con.execute(f"delete from f_{kind} where rowid in (select place from fh_again)")
        con.execute("drop table fh_again")

    def drop_rows(self, kind: str, reason: str, condition: str) -> None:
        """Filter rows of ``f_<kind>`` out, by name."""
        if kind not in self.kinds:
            return
        self.con.execute(
            f"insert into fh_filtered select file_no, row_no, '{HOME_TABLE[kind]}',"
            f" '{reason}' from f_{kind} where coalesce({condition}, false)"
        )
        self.con.execute(f"delete from f_{kind} where coalesce({condition}, false)")

    def _out(self, table: str, source: str, **columns: str) -> None:
        names = ", ".join(f'"{name}"' for name in columns)
        self.con.execute(
            f"insert into out_{table} (file_no, row_no, part, {names})"
            f" select file_no, row_no, 0, {', '.join(columns.values())} from {source}"
        )

    # --- people and places ----------------------------------------------------------

    def _clients(self) -> None:
        con = self.con
        omb = "list_filter(said.extension, e -> e.url = 'ombCategory')"
        con.execute(
            f"""
            create temp table f_Patient as
            with said as (
                select
                    *,
                    list_filter(extension, e -> e.url = '{_US_CORE}/us-core-race')[1]
                        as race_said,
                    list_filter(extension, e -> e.url = '{_US_CORE}/us-core-ethnicity')[1]
                        as ethnicity_said,
                    list_filter(extension, e -> e.url = '{_US_CORE}/us-core-birthsex')[1]
                        .valueCode as birth_sex,
                    coalesce(
                        list_filter(address, a -> a."use" = 'home')[1], address[1]
                    ) as lives,
                    coalesce(
                        list_filter(communication, c -> c.preferred = 'true')[1],
                        communication[1]
                    ).language as speaks
                from fh_Patient where resourceType = 'Patient'
            )
            select
                {base_of("Practitioner")}, birthDate as birth_date, gender,
                coalesce(
                    case birth_sex when 'F' then 'female' when 'M' then 'male' end, gender
                ) as sex,
                list_transform(
                    {omb.replace("said", "race_said")},
                    e -> coalesce(fh_race('', e.valueCoding.code), e.valueCoding.code)
                ) as races,
                fh_ethnicity('',
                    {omb.replace("said", "ethnicity_said")}[1].valueCoding.code
                ) as ethnicity,
                speaks.coding[1].code as language,
                lives.state as state, lives.postalCode as postal_code, link,
                birthDate as subject
            from said
            """
        )
        # Two people under one id: what they were born on differs, and no version tells
        # that one corrects the other.
        con.execute(
            """
            insert into fh_conflicting
            select id from f_Patient where id is not null
            group by id
            having count(distinct birth_date) > 1 and count(distinct updated) <= 1
            """
        )
        con.execute("update f_Patient set subject = id")
        self.settle("Patient")
        self._out(
            "clients",
            "f_Patient",
            client_id="id",
            birth_date="birth_date",
            sex="sex",
            race="nullif(array_to_string(list_sort(list_distinct(races)), ';'), '')",
            ethnicity="ethnicity",
            preferred_language="lower(split_part(language, '-', 1))",
            postal_code="postal_code",
            state="state",
            updated_at="updated",
        )
        con.execute(
            "create temp table f_link as "
            + linked(
                "select file_no, row_no, bundle_no, owner, id, updated, said.type as type,"
                " said.other as other_ref from (select *, unnest(link) as said"
                " from f_Patient)",
                "other",
            )
        )
        merged_on = f"coalesce(left(updated, 10), '{self.received_on}')"
        for kind, old, new in (
            ("replaced-by", "id", "other_id"),
            ("replaces", "other_id", "id"),
        ):
            self._out(
                "client_merges",
                f"(select * from f_link where type = '{kind}'"
                " and coalesce(other_kind, 'Patient') = 'Patient')",
                old_client_id=old,
                new_client_id=new,
                merged_on=merged_on,
            )

    def _staff(self) -> None:
        con = self.con
        if not self.kinds & {"Practitioner", "PractitionerRole"}:
            con.execute(
                "create temp table f_PractitionerRole"
                " (id varchar, practitioner_id varchar)"
            )
            return
        con.execute(
            f"""
            create temp table f_Practitioner as
            select
                {base_of("Practitioner")}, null::varchar as subject,
                flatten(list_transform(qualification, q -> q.code.coding)) as codings,
                list_min(list_filter(
                    list_transform(qualification, q -> q.period."start"),
                    d -> length(d) >= 10
                )) as licensed_on
            from fh_Practitioner where resourceType = 'Practitioner'
            """
        )
        con.execute(
            "create temp table f_PractitionerRole as "
            + linked(
                f"select {base_of('PractitionerRole')}, null::varchar as subject,"
                " practitioner as practitioner_ref, organization as organization_ref,"
                " flatten(list_transform(list_concat(coalesce(specialty, []),"
                " coalesce(code, [])), c -> c.coding)) as codings"
                " from fh_PractitionerRole where resourceType = 'PractitionerRole'",
                "practitioner",
                "organization",
            )
        )
        self.settle("Practitioner")
        self.settle("PractitionerRole")
        discipline = (
            "coalesce(list_filter(list_transform(codings,"
            " c -> fh_discipline(c.system, c.code)), d -> d is not null)[1],"
            " left(codings[1].code, 64))"
        )
        con.execute(
            f"""
            create temp table f_role as
            select
                practitioner_id, max(organization_id) as clinic_id,
                max({discipline}) as discipline, min(file_no) as file_no,
                min(row_no) as row_no
            from (
                select * from f_PractitionerRole where practitioner_id is not null
                qualify row_number() over (
                    partition by practitioner_id order by
                        try_cast(updated as timestamptz) desc nulls last,
                        file_no desc, row_no desc
                ) = 1
            )
            group by practitioner_id
            """
        )
        self._out(
            "therapists",
            "(select person.*, role.clinic_id, role.discipline as role_discipline"
            " from f_Practitioner as person left join f_role as role"
            " on person.id = role.practitioner_id)",
            therapist_id="id",
            clinic_id="clinic_id",
            discipline=f"coalesce({discipline}, role_discipline)",
            licensed_on="licensed_on",
        )
        # A role whose practitioner came before, or comes later, still says where.
        self._out(
            "therapists",
            "(select f_role.* from f_role anti join f_Practitioner as person"
            " on f_role.practitioner_id = person.id)",
            therapist_id="practitioner_id",
            clinic_id="clinic_id",
            discipline="discipline",
        )
        con.execute(
            "insert into fh_filtered select file_no, row_no, 'therapists', 'part_of_another'"
            " from f_PractitionerRole as said where not exists (select 1"
            " from out_therapists as made where made.file_no = said.file_no"
            " and made.row_no = said.row_no)"
        )

    def _clinics(self) -> None:
        con = self.con
        zone = (
            f"list_filter(extension, e -> e.url = '{_TIMEZONE}')[1].valueCode as zone"
        )
        con.execute(
            f"""
            create temp table f_Organization as
            select
                {base_of("Organization")}, null::varchar as subject, name, address[1].state as state, {zone},
                list_has_any(
                    flatten(list_transform(type, t -> list_transform(
                        t.coding, c -> c.code))),
                    ['pay', 'ins']
                ) as pays
            from fh_Organization where resourceType = 'Organization'
            """
        )
        con.execute(
            "create temp table f_Location as "
            + linked(
                f"select {base_of('Location')}, null::varchar as subject, name, address.state as state,"
                f" {zone}, managingOrganization as organization_ref"
                " from fh_Location where resourceType = 'Location'",
                "organization",
            )
        )
        self.settle("Organization")
        self.settle("Location")
        self.drop_rows("Organization", "insurer", "pays")
        self.drop_rows("Location", "part_of_another", "organization_id is not null")
        for kind, key in (("Organization", "id"), ("Location", "'Location/' || id")):
            self._out(
                "clinics",
                f"f_{kind}",
                clinic_id=key,
                name="name",
                state="state",
                timezone="zone",
            )
        con.execute(
            "create temp table fh_place as select id, coalesce(organization_id,"
            " 'Location/' || id) as clinic_id from f_Location union all"
            " select said.id, said.organization_id from ("
            + linked(
                "select bundle_no, id as owner, id, managingOrganization"
                " as organization_ref from fh_Location",
                "organization",
            )
            + ") as said where said.organization_id is not null"
        )

    def therapist_of(self, name: str, alias: str) -> str:
        """Return SQL of the therapist that a resolved reference means, else null."""
        return (
            f"case when coalesce({name}_kind, 'Practitioner') = 'Practitioner'"
            f" then {name}_id when {name}_kind = 'PractitionerRole' then"
            f" coalesce({alias}.practitioner_id, 'PractitionerRole/' || {name}_id) end"
        )

    # --- care -----------------------------------------------------------------------

    def _episodes(self) -> None:
        con = self.con
        con.execute(
            "create temp table f_EpisodeOfCare as select said.*, patient_id as subject,"
            f" {self.therapist_of('manager', 'role')} as therapist_id from ("
            + linked(
                f"select {base_of('EpisodeOfCare')}, status, period, patient as patient_ref,"
                " managingOrganization as organization_ref, careManager as manager_ref"
                " from fh_EpisodeOfCare where resourceType = 'EpisodeOfCare'",
                "patient",
                "organization",
                "manager",
            )
            + ") as said left join f_PractitionerRole as role"
            " on said.manager_kind = 'PractitionerRole' and said.manager_id = role.id"
        )
        self.settle("EpisodeOfCare")
        self.drop_rows(
            "EpisodeOfCare", "removed", "status in ('entered-in-error', 'cancelled')"
        )
        self.drop_rows(
            "EpisodeOfCare",
            "not_begun",
            "status in ('planned', 'waitlist') and period.\"start\" is null",
        )
        self._out(
            "episodes",
            "f_EpisodeOfCare",
            episode_id="id",
            client_id="patient_id",
            therapist_id="therapist_id",
            clinic_id="organization_id",
            opened_on='period."start"',
            closed_on='period."end"',
            updated_at="updated",
        )

    def _diagnoses(self) -> None:
        con = self.con
        con.execute(
            "create temp table f_Condition as select said.*, subject_id as subject from ("
            + linked(
                f"""
                select
                    {base_of("Condition")}, subject as subject_ref,
                    coalesce(
                        list_filter(code.coding, c -> fh_diagnosis_system(c.system, '')
                            in ('icd10', 'icd11', 'icd9'))[1],
                        list_filter(code.coding, c -> fh_diagnosis_system(c.system, '')
                            is not null)[1],
                        code.coding[1]
                    ) as coded,
                    list_filter(
                        [recordedDate, onsetDateTime, onsetPeriod."start"],
                        d -> length(d) >= 10
                    )[1] as day,
                    coalesce(recordedDate, onsetDateTime, onsetPeriod."start")
                        as written,
                    clinicalStatus.coding[1].code as clinical,
                    verificationStatus.coding[1].code as verified
                from fh_Condition where resourceType = 'Condition'
                """,
                "subject",
            )
            + ") as said"
        )
        self.settle("Condition")
        self._out(
            "diagnoses",
            "f_Condition",
            client_id="subject_id",
            code="coded.code",
            system="coalesce(fh_diagnosis_system(coded.system, ''),"
            " case when coded.system is not null then 'other' end)",
            recorded_on="coalesce(day, written)",
            # Kept as rows, so that a refuted one takes an earlier one back; no mart
            # shows them.
            status="case verified when 'refuted' then 'refuted' when 'entered-in-error'"
            " then 'entered_in_error' else clinical end",
        )

    def _encounters(self) -> None:
        con = self.con
        codes = (
            "list_transform(flatten(list_transform(type, t -> t.coding)), c -> c.code)"
        )
        person = (
            "coalesce("
            + ", ".join(
                f"list_filter(participant, p -> {test} and p.individual is not null"
                " and coalesce(p.individual.reference, '')"
                " not like 'RelatedPerson/%')[1].individual"
                for test in (
                    _has_part("PPRF"),
                    _has_part("ATND"),
                    "true",
                )
            )
            + ")"
        )
        con.execute(
            "create temp table f_Encounter as select said.*, subject_id as subject,"
            f" {self.therapist_of('person', 'role')} as therapist_id,"
            " coalesce(said.organization_id, place.clinic_id, 'Location/' || location_id)"
            " as clinic_id from ("
            + linked(
                f"""
                select
                    {base_of("Encounter")}, status, class.code as class, {codes} as types,
                    coalesce(
                        list_filter(flatten(list_transform(type, t -> t.coding)),
                            c -> c.system = 'http://www.ama-assn.org/go/cpt')[1].code,
                        {codes}[1]
                    ) as service_code,
                    period, appointment, reasonCode, diagnosis,
                    subject as subject_ref, {person} as person_ref,
                    serviceProvider as organization_ref,
                    location[1].location as location_ref,
                    episodeOfCare[1] as episode_ref
                from fh_Encounter where resourceType = 'Encounter'
                """,
                "subject",
                "person",
                "organization",
                "location",
                "episode",
            )
            + ") as said left join f_PractitionerRole as role"
            " on said.person_kind = 'PractitionerRole' and said.person_id = role.id"
            " left join (select id, min(clinic_id) as clinic_id from fh_place group by id)"
            " as place on said.location_id = place.id"
        )
        self.settle("Encounter")
        mapping = self.mapping
        for reason, condition in (
            ("class_not_kept", _not_in("class", mapping.keep_classes)),
            ("type_not_kept", _none_in("types", mapping.keep_types)),
            ("class_dropped", _in("class", mapping.drop_classes)),
            ("type_dropped", _any_in("types", mapping.drop_types)),
        ):
            if condition:
                self.drop_rows("Encounter", reason, condition)
        self._encounter_diagnoses()
        self._out(
            "sessions",
            "(select said.*, codes.diagnosis_codes from f_Encounter as said"
            " left join fh_encounter_codes as codes on said.owner = codes.owner)",
            session_id="id",
            client_id="subject_id",
            therapist_id="therapist_id",
            clinic_id="clinic_id",
            episode_id="episode_id",
            started_at='period."start"',
            ended_at='period."end"',
            status="coalesce(fh_encounter_status('', status), 'unknown')",
            service_code="service_code",
            modality="fh_modality('', service_code)",
            delivery_mode="fh_delivery_mode('', class)",
            diagnosis_codes="diagnosis_codes",
            updated_at="updated",
            deleted="(status = 'entered-in-error')::varchar",
        )

    def _encounter_diagnoses(self) -> None:
        """Give each Encounter its ICD codes, first by rank: diagnoses, else reasons."""
        con = self.con
        con.execute(
            "create temp table f_ranked as "
            + linked(
                "select bundle_no, owner, try_cast(said.rank as integer) as place, n,"
                " said.condition as condition_ref from (select bundle_no, owner,"
                " unnest(diagnosis) as said, generate_subscripts(diagnosis, 1) as n"
                " from f_Encounter)",
                "condition",
            )
        )
        con.execute(
            """
            create temp table fh_encounter_codes as
            with named as (
                select ranked.owner, ranked.place, ranked.n, said.coded.code as code
                from f_ranked as ranked
                inner join f_Condition as said on ranked.condition_id = said.id
                where fh_diagnosis_system(said.coded.system, '') like 'icd%'
            ),
            reasons as (
                select owner, null::integer as place, n, said.code
                from (
                    select owner, unnest(codings) as said,
                        generate_subscripts(codings, 1) as n
                    from (
                        select owner, flatten(list_transform(
                            reasonCode, r -> r.coding)) as codings
                        from f_Encounter
                    )
                )
                where fh_diagnosis_system(said.system, '') like 'icd%'
            ),
            said as (
                from named
                union all
                from reasons where owner not in (select owner from named)
            )
            select
                owner,
                string_agg(code, ';' order by place nulls last, n) as diagnosis_codes
            from said group by owner
            """
        )

    def _appointments(self) -> None:
        con = self.con
        con.execute(
            "create temp table f_actor as select said.*, case when actor_kind in"
            " ('Practitioner', 'PractitionerRole') then"
            f" {self.therapist_of('actor', 'role')} end as therapist_id, place.clinic_id"
            " from ("
            + linked(
                f"select file_no, row_no, bundle_no, owner, n, said.actor as actor_ref"
                f" from (select file_no, row_no, bundle_no, {owner_of('Appointment')} as owner,"
                " unnest(participant) as said, generate_subscripts(participant, 1) as n"
                " from fh_Appointment where resourceType = 'Appointment')",
                "actor",
            )
            + ") as said left join f_PractitionerRole as role"
            " on said.actor_kind = 'PractitionerRole' and said.actor_id = role.id"
            " left join (select id, min(clinic_id) as clinic_id from fh_place group by id)"
            " as place on said.actor_kind = 'Location' and said.actor_id = place.id"
        )
        con.execute(
            f"""
            create temp table f_Appointment as
            select
                {base_of("Appointment").replace("file_no, row_no", "said.file_no, said.row_no")},
                status, said."start" as starts, said."end" as ends,
                list_transform(cancelationReason.coding, c -> c.code) as reasons,
                actors.*,
                array_to_string(actors.clients, ';') as subject
            from fh_Appointment as said
            left join (
                select
                    file_no as f, row_no as r,
                    list(distinct actor_id order by actor_id)
                        filter (where coalesce(actor_kind, '') = 'Patient') as clients,
                    min_by(therapist_id, n) filter (where therapist_id is not null)
                        as therapist_id,
                    min_by(clinic_id, n) filter (where clinic_id is not null)
                        as clinic_id
                from f_actor group by 1, 2
            ) as actors on said.file_no = actors.f and said.row_no = actors.r
            where resourceType = 'Appointment'
            """
        )
        self.settle("Appointment")
        # The Encounter that names its appointment is the visit.
        con.execute(
            "create temp table f_kept as select said.*, 'Appointment/' || said.kept_id"
            " as session_id from ("
            + linked(
                "select file_no, row_no, bundle_no, owner, subject_id, therapist_id,"
                " period, status, unnest(appointment) as kept_ref from f_Encounter",
                "kept",
            )
            + ") as said where said.kept_id is not null"
            " and coalesce(status, '') <> 'entered-in-error'"
        )
        self.drop_rows(
            "Appointment",
            "appointment_has_encounter",
            "id in (select kept_id from f_kept)",
        )
        self.drop_rows(
            "Appointment", "not_booked", "status in ('proposed', 'waitlist')"
        )
        self._out(
            "sessions",
            "(select *, case when len(clients) > 1 then 'Appointment/' || id || '|'"
            " || client else 'Appointment/' || id end as session_id from"
            " (select *, unnest(case when len(clients) > 0 then clients else"
            " [null::varchar] end) as client from f_Appointment))",
            session_id="session_id",
            client_id="client",
            therapist_id="therapist_id",
            clinic_id="clinic_id",
            started_at="starts",
            ended_at="ends",
            status="case when status = 'cancelled' then coalesce(list_filter("
            "list_transform(reasons, r -> fh_cancellation('', r)),"
            " s -> s is not null)[1], fh_appointment_status('', status))"
            " else coalesce(fh_appointment_status('', status), 'unknown') end",
            updated_at="updated",
            deleted="(status = 'entered-in-error')::varchar",
        )
        # The appointment may have come before, or come again: it stays replaced.
        self._out(
            "sessions",
            "f_kept",
            session_id="session_id",
            client_id="subject_id",
            therapist_id="therapist_id",
            started_at='period."start"',
            updated_at=f"'{_LAST}'",
            deleted="'true'",
        )

    def _goals(self) -> None:
        con = self.con
        con.execute(
            "create temp table f_Goal as select said.*, subject_id as subject from ("
            + linked(
                f"""
                select
                    {base_of("Goal")}, lifecycleStatus as status, startDate as begun,
                    statusDate as stated, subject as subject_ref,
                    expressedBy as by_ref, priority.coding[1].code as priority,
                    achievementStatus.coding[1].code as achieved,
                    list_transform(flatten(list_concat(
                        [description.coding],
                        list_transform(category, c -> c.coding)
                    )), c -> c.code) as codes
                from fh_Goal where resourceType = 'Goal'
                """,
                "subject",
                "by",
            )
            + ") as said"
        )
        self.settle("Goal")
        self.drop_rows("Goal", "removed", "status = 'entered-in-error'")
        self.drop_rows("Goal", "not_begun", "status in ('proposed', 'planned')")
        self._out(
            "goals",
            "f_Goal",
            goal_id="id",
            client_id="subject_id",
            recorded_at="coalesce(stated, begun)",
            rater="case when by_kind = 'Patient' then 'client' when by_kind in"
            " ('Practitioner', 'PractitionerRole') then 'therapist' end",
            domain="coalesce(list_filter(list_transform(codes,"
            " c -> fh_goal_domain('', c)), d -> d is not null)[1],"
            " left(codes[1], 64), 'unknown')",
            priority="case priority when 'high-priority' then '1' when 'medium-priority'"
            " then '2' when 'low-priority' then '3' end",
            status="case when status = 'completed' and achieved = 'achieved'"
            " then 'achieved' else coalesce(fh_goal_status('', status), status) end",
        )


def _has_part(code: str) -> str:
    return (
        "list_contains(list_transform(flatten(list_transform(p.type,"
        f" t -> t.coding)), c -> c.code), '{code}')"
    )


def _list(codes: tuple[str, ...]) -> str:
    return "[" + ", ".join("'" + c.replace("'", "''") + "'" for c in codes) + "]"


def _in(column: str, codes: tuple[str, ...]) -> str:
    return f"list_contains({_list(codes)}, {column})" if codes else ""


def _not_in(column: str, codes: tuple[str, ...]) -> str:
    return (
        f"not coalesce(list_contains({_list(codes)}, {column}), false)" if codes else ""
    )


def _any_in(column: str, codes: tuple[str, ...]) -> str:
    return f"list_has_any({column}, {_list(codes)})" if codes else ""


def _none_in(column: str, codes: tuple[str, ...]) -> str:
    return (
        f"not coalesce(list_has_any({column}, {_list(codes)}), false)" if codes else ""
    )
