"""The door in this process: deliveries in, ledger and bronze out, many in one opening."""

import os
from pathlib import Path
from typing import Any

import duckdb

from rapport.ingest.inbox import discover
from rapport.ingest.load import Door
from rapport.night import open_keys
from rapport.privacy import KeyRing
from rapport.settings import Settings, load_settings
from rapport.state import ControlState


class Loaded:
    """A home after its deliveries went through the door."""

    def __init__(self, settings: Settings, keys: KeyRing) -> None:
        self.settings, self.keys = settings, keys
        self.state = ControlState(settings.home)

    def key(self, entity: str, source: str, id_: str) -> str:
        """Return the key that bronze holds for a source id."""
        return self.keys.row_key(entity, source, id_)

    def rows(self, source: str, table: str) -> list[dict[str, Any]]:
        """Return what bronze holds of one table of a source."""
        folder = self.settings.home / "bronze" / source / table
        files = [str(path) for path in sorted(folder.glob("*.parquet"))]
        if not files:
            return []
        with duckdb.connect() as con:
            con.execute(
                "select * from read_parquet(?, union_by_name = true) order by all",
                [files],
            )
            names = [column[0] for column in con.description or []]
            return [dict(zip(names, row, strict=True)) for row in con.fetchall()]

    def refused(self, source: str) -> dict[str, int]:
        """Return reason -> rows (a whole file counts one) in quarantine of a source."""
        found: dict[str, int] = {}
        for row in self.state.refusals():
            said = dict(row)
            if said["source"] == source:
                n = max(1, said["n_rows"])
                found[said["reason"]] = found.get(said["reason"], 0) + n
        return found

    def noticed(self, source: str) -> dict[str, int]:
        """Return reason -> rows that were seen and not refused, of a source."""
        found: dict[str, int] = {}
        for row in self.state.notices():
            said = dict(row)
            if said["source"] == source:
                found[said["reason"]] = found.get(said["reason"], 0) + said["n_rows"]
        return found


def through_the_door(home: Path) -> Loaded:
    """Load every complete delivery of a home's inbox; check that the sums hold."""
    settings = load_settings({**os.environ, "RAPPORT_HOME": str(home)})
    keys = open_keys(settings)
    loaded = Loaded(settings, keys)
    with Door(settings, keys) as door:
        for found in discover(settings, settle=False).complete:
            door.load(found, loaded.state)
    ledger = loaded.state.ledger()
    assert ledger
    for _, _, _, _, n_in, *parts, _ in ledger:
        assert n_in == sum(parts)
    return loaded
