"""Who is meant by a reference: within the Bundle, then the delivery, else by its own id.

A literal reference (``Type/id``, with or without a server and a version) names the id,
delivered here or not, so it joins whenever the other side arrives. ``urn:``,
conditional, identifier-only and ``#contained`` references are looked up; one that is not
found keys on what it says (docs/decisions/0016).
"""

from __future__ import annotations

import duckdb

from rapport.ingest.fhir.reading import ref_id, ref_type, take_json
from rapport.ingest.fhir.schema import SHAPES

_CONTAINED_KINDS = (
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Location",
    "Questionnaire",
)
_IDENTIFIED = {kind for kind, shape in SHAPES.items() if "identifier" in shape}


def base_of(kind: str) -> str:
    """Return SQL of what every step keeps of a resource: place, owner, id, version."""
    return (
        f"file_no, row_no, bundle_no, {owner_of(kind)} as owner, id,"
        " meta.lastUpdated as updated"
    )


def owner_of(kind: str) -> str:
    """Return SQL of what the ``#id`` of a resource's contained ones begin with."""
    return f"'{kind}/' || coalesce(id, file_no || '.' || row_no)"


def prepare_links(con: duckdb.DuckDBPyConnection, kinds: set[str]) -> None:
    """Lay the table of what a reference that is no ``Type/id`` may mean.

    Args:
        con: the scratch database.
        kinds: the resource types that the delivery has; contained ones are added.
    """
    _take_contained(con, kinds)
    con.execute(
        "create or replace temp macro fh_hard(r, owner) as case"
        " when r.reference like '#%' then owner || r.reference"
        " when r.reference like 'urn:%' then r.reference"
        " when r.reference like '%?identifier=%' then url_decode(regexp_extract("
        r" r.reference, '[A-Z][A-Za-z]+\?identifier=.*$'))"
        " when r.reference is null and r.identifier.value is not null then"
        " coalesce(r.type, '') || '?identifier=' || coalesce(r.identifier.system, '')"
        " || '|' || r.identifier.value end"
    )
    con.execute(
        "create temp table fh_said (bundle_no bigint, key varchar, kind varchar,"
        " id varchar)"
    )
    for kind in sorted(kinds):
        con.execute(
            f"insert into fh_said select bundle_no, full_url, '{kind}', id from fh_{kind}"
            " where id is not null and (full_url like 'urn:%' or full_url like '%#%')"
        )
    for kind in sorted(kinds & _IDENTIFIED):
        con.execute(
            f"""
            insert into fh_said
            select
                bundle_no,
                unnest(['{kind}', '']) || '?identifier=' || coalesce(said.system, '')
                || '|' || said.value,
                '{kind}',
                id
            from (
                select bundle_no, id, unnest(identifier) as said from fh_{kind}
                where id is not null
            )
            where said.value is not null
            """
        )
    con.execute(
        """
        create temp table fh_target as
        select bundle_no, key, min(kind) as kind, min(id) as id
        from fh_said where bundle_no <> 0
        group by bundle_no, key having count(distinct (kind, id)) = 1
        union all
        select -1, key, min(kind), min(id)
        from fh_said group by key having count(distinct (kind, id)) = 1
        """
    )
    con.execute("drop table fh_said")


def _take_contained(con: duckdb.DuckDBPyConnection, kinds: set[str]) -> None:
    """Make resources of contained ones, under the id of their owner."""
    con.execute(
        "create temp table fh_inner (file_no integer, row_no bigint, bundle_no bigint,"
        " full_url varchar, kind varchar, resource json)"
    )
    for kind in sorted(kinds):
        some = f"select 1 from fh_{kind} where contained is not null limit 1"
        if "contained" not in SHAPES[kind] or not con.execute(some).fetchall():
            continue
        con.execute(
            f"""
            insert into fh_inner
            select
                file_no, row_no, bundle_no, key, inside ->> '$.resourceType',
                json_merge_patch(inside, json_object('id', key))
            from (
                select
                    file_no, row_no, bundle_no, inside,
                    {owner_of(kind)} || '#'
                    || ltrim(inside ->> '$.id', '#') as key
                from (
                    select *, unnest(json_transform(contained, '["JSON"]')) as inside
                    from fh_{kind} where contained is not null
                )
            )
            where key is not null
            """
        )
    held = con.execute("select distinct kind from fh_inner").fetchall()
    inner = {kind for (kind,) in held} & set(_CONTAINED_KINDS)
    for kind in sorted(inner):
        take_json(con, kind, f"(from fh_inner where kind = '{kind}')")
    con.execute("drop table fh_inner")
    kinds |= inner
    # One that only repeats, by identifier, a resource of the delivery is that resource.
    for kind in sorted(inner & _IDENTIFIED):
        con.execute(
            f"""
            create or replace temp table fh_same as
            with named as (
                select rowid as place, id, unnest(identifier) as said from fh_{kind}
            )
            select inner_one.place, min(outer_one.id) as id
            from named as inner_one
            inner join named as outer_one
                on
                    inner_one.said.system = outer_one.said.system
                    and inner_one.said.value = outer_one.said.value
            where inner_one.id like '%#%' and outer_one.id not like '%#%'
            group by inner_one.place
            """
        )
        con.execute(
            f"update fh_{kind} set id = fh_same.id, resourceType = 'contained'"
            f" from fh_same where fh_{kind}.rowid = fh_same.place"
        )
    con.execute("drop table if exists fh_same")


def linked(select: str, *names: str) -> str:
    """Return SQL in which each ``<name>_ref`` has become ``<name>_kind``, ``<name>_id``.

    Args:
        select: SQL of rows with bundle_no, owner and the references.
        names: the references.
    """
    hard = ", ".join(f"fh_hard({n}_ref, owner) as {n}_hard" for n in names)
    found, joins = [], []
    for n in names:
        said = f"said.{n}_ref.reference"
        unfound = r"^(urn:(uuid|oid):|[A-Za-z]*\?identifier=)"
        found += [
            f"coalesce({n}_b.kind, {n}_d.kind, case when {n}_hard is null then"
            f" {ref_type(said)} else nullif(regexp_extract({n}_hard,"
            r" '^([A-Z][A-Za-z]+)\?', 1), '')"
            f" end, said.{n}_ref.type) as {n}_kind",
            f"coalesce({n}_b.id, {n}_d.id, case when {n}_hard is null then"
            f" {ref_id(said)} else regexp_replace({n}_hard, '{unfound}', '') end)"
            f" as {n}_id",
        ]
        joins += [
            f"left join fh_target as {n}_b on {n}_b.bundle_no = said.bundle_no"
            f" and {n}_b.key = said.{n}_hard",
            f"left join fh_target as {n}_d on {n}_d.bundle_no = -1"
            f" and {n}_d.key = said.{n}_hard",
        ]
    left_out = ", ".join(f"{n}_ref, {n}_hard" for n in names)
    return (
        f"select said.* exclude ({left_out}), {', '.join(found)}"
        f" from (select *, {hard} from ({select})) as said {' '.join(joins)}"
    )
