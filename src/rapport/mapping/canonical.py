"""The canonical tables: what a delivery may hold, column by column (contract §3).

Each column has a kind. The kind says how the door reads a cell, and what of it bronze
keeps; nothing else does. This module is data, and imports nothing of rapport.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "id",  # a source id: keyed, never kept
    "source",  # a folder name under inbox/: goes into a key, never kept
    "date",
    "birth_date",  # reduced to birth_year
    "postal_code",  # reduced to zip3
    "timestamp",  # wall clock, offset, bare-date mark
    "utc",  # updated_at: UTC
    "zone",
    "code",  # one code of a list
    "codes",  # several codes of a list, `;` between
    "instrument",
    "item",
    "item_value",
    "version",
    "service_code",
    "diagnosis_codes",
    "diagnosis_code",
    "number",
    "integer",
    "boolean",
    "text",
]


@dataclass(frozen=True)
class Column:
    """One canonical column.

    Attributes:
        name: as in the contract.
        kind: how it is read and what bronze keeps of it.
        required: a row without it is a bad row.
        of: the entity of an id, or the code list of a code.
    """

    name: str
    kind: Kind
    required: bool = False
    of: str = ""

    @property
    def key_name(self) -> str:
        """The bronze name of an id column: ``old_client_id`` -> ``old_client_key``."""
        return self.name.removesuffix("_id") + "_key"


@dataclass(frozen=True)
class Table:
    """One canonical table: its columns in contract order and what identifies a row."""

    name: str
    columns: tuple[Column, ...]
    identity: tuple[str, ...]

    def column(self, name: str) -> Column:
        """Return a column by name."""
        return next(column for column in self.columns if column.name == name)

    @property
    def sort_key(self) -> str:
        """The bronze column that a file is sorted by: the client's, else the row's id."""
        ids = [c for c in self.columns if c.kind == "id"]
        client = [c for c in ids if c.name == "client_id"]
        return (client or ids)[0].key_name


def _id(name: str, *, required: bool = False, of: str | None = None) -> Column:
    return Column(name, "id", required, of or name.removesuffix("_id"))


def _code(name: str, of: str | None = None, *, required: bool = False) -> Column:
    return Column(name, "code", required, of or name)


_UPDATED = Column("updated_at", "utc")
_DELETED = Column("deleted", "boolean")

TABLES: tuple[Table, ...] = (
    Table(
        "clinics",
        (
            _id("clinic_id", required=True),
            Column("name", "text"),
            _code("state"),
            Column("timezone", "zone"),
        ),
        ("clinic_id",),
    ),
    Table(
        "therapists",
        (
            _id("therapist_id", required=True),
            _id("clinic_id"),
            _code("discipline"),
            Column("licensed_on", "date"),
        ),
        ("therapist_id",),
    ),
    Table(
        "clients",
        (
            _id("client_id", required=True),
            Column("birth_date", "birth_date"),
            _code("sex"),
            Column("race", "codes", of="race"),
            _code("ethnicity"),
            _code("preferred_language", "language"),
            Column("postal_code", "postal_code"),
            _code("state"),
            Column("registered_on", "date"),
            _UPDATED,
        ),
        ("client_id",),
    ),
    Table(
        "episodes",
        (
            _id("episode_id", required=True),
            _id("client_id", required=True),
            _id("therapist_id"),
            _id("clinic_id"),
            Column("opened_on", "date", required=True),
            Column("closed_on", "date"),
            _code("closure_reason"),
            Column("trauma_focused", "boolean"),
            _code("treatment_approach"),
            _UPDATED,
        ),
        ("episode_id",),
    ),
    Table(
        "sessions",
        (
            _id("session_id", required=True),
            _id("client_id", required=True),
            _id("therapist_id", required=True),
            _id("clinic_id"),
            _id("episode_id"),
            Column("started_at", "timestamp", required=True),
            Column("ended_at", "timestamp"),
            Column("timezone", "zone"),
            _code("status"),
            Column("service_code", "service_code"),
            _code("modality"),
            _code("treatment_approach"),
            _code("delivery_mode"),
            Column("diagnosis_codes", "diagnosis_codes"),
            _UPDATED,
            _DELETED,
        ),
        ("session_id",),
    ),
    Table(
        "diagnoses",
        (
            _id("client_id", required=True),
            Column("code", "diagnosis_code", required=True),
            _code("system"),
            Column("recorded_on", "date", required=True),
            _code("status", "diagnosis_status"),
        ),
        ("client_id", "code", "system", "recorded_on"),
    ),
    Table(
        "measures",
        (
            _id("administration_id", required=True),
            _id("client_id", required=True),
            _id("therapist_id"),
            _id("session_id"),
            Column("instrument", "instrument", required=True),
            Column("version", "version"),
            _code("rater", required=True),
            Column("administered_at", "timestamp", required=True),
            Column("total_reported", "number"),
            _UPDATED,
            _DELETED,
        ),
        ("administration_id",),
    ),
    Table(
        "measure_items",
        (
            _id("administration_id", required=True),
            Column("item", "item", required=True),
            Column("value", "item_value"),
        ),
        ("administration_id", "item"),
    ),
    Table(
        "goals",
        (
            _id("goal_id", required=True),
            _id("client_id", required=True),
            _id("episode_id"),
            Column("recorded_at", "timestamp", required=True),
            _code("rater", required=True),
            _code("domain", "goal_domain", required=True),
            Column("priority", "integer"),
            _code("status", "goal_status"),
        ),
        ("goal_id", "rater", "recorded_at"),
    ),
    Table(
        "client_merges",
        (
            _id("old_client_id", required=True, of="client"),
            _id("new_client_id", required=True, of="client"),
            Column("merged_on", "date", required=True),
        ),
        ("old_client_id",),
    ),
    Table(
        "client_links",
        (
            _id("client_id", required=True),
            Column("other_source", "source", required=True),
            _id("other_client_id", required=True, of="client"),
            Column("linked_on", "date", required=True),
        ),
        ("client_id", "other_source", "other_client_id"),
    ),
)

BY_NAME = {table.name: table for table in TABLES}

# Names of columns that no mapping may bring in (45 CFR 164.514(b)(2)(i)(A)-(R), and
# note text). A canonical file that has one of them loses it at the door, counted.
NOT_WANTED = frozenset(
    [
        "name",
        "first_name",
        "last_name",
        "middle_name",
        "given_name",
        "family_name",
        "full_name",
        "nickname",
        "maiden_name",
        "preferred_name",
        "client_name",
        "patient_name",
        "therapist_name",
        "contact_name",
        "address",
        "address_1",
        "address_2",
        "street",
        "street_address",
        "city",
        "county",
        "phone",
        "phone_number",
        "telephone",
        "mobile",
        "fax",
        "email",
        "e_mail",
        "email_address",
        "ssn",
        "social_security_number",
        "mrn",
        "medical_record_number",
        "record_number",
        "account_number",
        "plan_number",
        "policy_number",
        "member_id",
        "insurance_id",
        "license_number",
        "licence_number",
        "drivers_license",
        "passport",
        "vehicle_id",
        "device_id",
        "url",
        "website",
        "ip",
        "ip_address",
        "biometric",
        "photo",
        "photograph",
        "note",
        "notes",
        "note_text",
        "progress_note",
        "psychotherapy_note",
        "comment",
        "comments",
        "narrative",
        "free_text",
        "emergency_contact",
        "guardian_name",
    ]
)
