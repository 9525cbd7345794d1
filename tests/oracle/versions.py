"""Section K1: of several versions of a row, which one is the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from oracle import reading
from oracle.reading import Row
from oracle.registry import ITEM_IDS

_OLDEST = datetime.min.replace(tzinfo=UTC)

IDENTITY = {
    "clinics": ("clinic_id",),
    "therapists": ("therapist_id",),
    "clients": ("client_id",),
    "episodes": ("episode_id",),
    "sessions": ("session_id",),
    "diagnoses": ("client_id", "code", "system", "recorded_on"),
    "measures": ("administration_id",),
    "goals": ("goal_id", "rater", "recorded_at"),
    "client_merges": ("old_client_id",),
}


@dataclass(frozen=True)
class Delivery:
    """One delivery of a source: its true id and the rows of each table, in file order."""

    id: str
    tables: dict[str, list[Row]]
    snapshots: frozenset[str] = field(default=frozenset())


def in_order(deliveries: list[Delivery]) -> list[Delivery]:
    """By delivery id, bytewise; the order of arrival says nothing."""
    return sorted(deliveries, key=lambda delivery: delivery.id.encode())


def current_rows(deliveries: list[Delivery], table: str) -> list[Row]:
    """Latest ``updated_at`` (null oldest), then later delivery, then later row.

    A row that a snapshot no longer holds is deleted; so is one whose latest version
    says ``deleted``.
    """
    winners: dict[tuple[str, ...], tuple[datetime, int, int, Row]] = {}
    for position, delivery in enumerate(in_order(deliveries)):
        seen = set()
        for place, row in enumerate(delivery.tables.get(table, [])):
            id_ = tuple((row.get(name) or "").strip() for name in IDENTITY[table])
            seen.add(id_)
            version = (reading.updated_at(row) or _OLDEST, position, place, row)
            if id_ not in winners or version[:3] > winners[id_][:3]:
                winners[id_] = version
        if table in delivery.snapshots and table in delivery.tables:
            winners = {id_: won for id_, won in winners.items() if id_ in seen}
    rows = [won[3] for won in winners.values()]
    return [row for row in rows if not reading.flag(row, "deleted")]


def item_sets(deliveries: list[Delivery]) -> dict[str, dict[str, float | None]]:
    """Return, by administration id, item id -> number (null: not a number).

    The set comes whole from the latest delivery that carries any item of the form. Two
    different values for one item in one delivery: the item is not answered.
    """
    sets: dict[str, dict[str, float | None]] = {}
    for delivery in in_order(deliveries):
        delivered: dict[str, dict[str, set[object]]] = {}
        for row in delivery.tables.get("measure_items", []):
            item = (reading.text(row, "item") or "").lstrip("0")
            if item not in ITEM_IDS:
                continue
            said = reading.text(row, "value")
            parsed = reading.number(said)
            of_form = delivered.setdefault(row["administration_id"].strip(), {})
            of_form.setdefault(item, set()).add(said if parsed is None else parsed)
        if "measure_items" in delivery.snapshots and "measure_items" in delivery.tables:
            sets = {}
        for id_, items in delivered.items():
            sets[id_] = {item: _only(values) for item, values in items.items()}
    return sets


def _only(values: set[object]) -> float | None:
    (value, *others) = values
    return value if isinstance(value, float) and not others else None
