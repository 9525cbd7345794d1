"""The door of one home, opened in this process: many deliveries, one engine."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from rapport.ingest.inbox import Found
from rapport.ingest.load import Door
from rapport.privacy import KeyRing
from rapport.settings import Settings
from rapport.state import ControlState


@dataclass(frozen=True)
class Loaded:
    """What became of one delivery."""

    outcome: str
    rows: dict[str, int]  # in, loaded, quarantined, filtered, footer, blank
    reasons: dict[str, int]  # reason -> rows
    notices: dict[str, int]
    columns: set[str]  # that notices and refusals name
    encodings: set[str]
    said: str  # everything that commands could print of it


class InProcess:
    """One RAPPORT_HOME and its door, used as a context manager."""

    def __init__(self, home: Path, **inbox: float) -> None:
        self.settings = Settings.model_validate(
            {"home": home, "inbox": inbox, "warehouse": {"memory_limit": "1GB"}}
        )
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.keys = KeyRing.of(self.settings, may_create=True)
        self.state = ControlState(home)
        self.door = Door(self.settings, self.keys)

    def __enter__(self) -> "InProcess":
        self.door.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self.door.__exit__(*raised)

    def folder(self, source: str, delivery_id: str) -> Path:
        folder = self.home / "inbox" / source / delivery_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def deliver(
        self, source: str, delivery_id: str, files: dict[str, str | bytes]
    ) -> Loaded:
        """Lay a delivery into the inbox and take it through the door."""
        folder = self.folder(source, delivery_id)
        for name, said in files.items():
            (folder / name).write_bytes(
                said if isinstance(said, bytes) else said.encode()
            )
        return self.load(source, delivery_id)

    def load(self, source: str, delivery_id: str, *, again: bool = False) -> Loaded:
        folder = self.folder(source, delivery_id)
        found = Found(source, delivery_id, folder)
        batch = self.keys.batch_id(source, delivery_id)
        known = [d for d in self.state.deliveries() if d.batch_id == batch]
        outcome = self.door.load(
            found, self.state, replaces=known[0] if again else None
        ).outcome
        return self.of(batch, outcome)

    def of(self, batch: str, outcome: str) -> Loaded:
        ledger = [row for row in self.state.ledger() if row[0] == batch]
        names = ("in", "loaded", "quarantined", "filtered", "footer", "blank")
        rows = {name: sum(row[4 + n] for row in ledger) for n, name in enumerate(names)}
        assert rows["in"] == sum(rows[name] for name in names[1:])
        refusals = [dict(row) for row in self.state.refusals([batch])]
        notices = [dict(row) for row in self.state.notices([batch])]
        reasons: dict[str, int] = {}
        for row in refusals:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["n_rows"]
        counted: dict[str, int] = {}
        for row in notices:
            counted[row["reason"]] = counted.get(row["reason"], 0) + row["n_rows"]
        columns = {row["column_name"] for row in refusals + notices} - {""}
        return Loaded(
            outcome,
            rows,
            reasons,
            counted,
            columns,
            {row[10] for row in ledger if row[10]},
            str((refusals, notices, ledger)),
        )

    def bronze(self, source: str, table: str) -> list[dict]:
        """Return the rows that the ledger knows of one table of a source."""
        files = [
            str(self.home / "bronze" / path)
            for _, path in self.state.bronze_files().get(table, [])
            if path.startswith(f"{source}/")
        ]
        if not files:
            return []
        with duckdb.connect() as con:
            found = con.execute(
                "select * from read_parquet(?) order by batch_id, file_no, row_no",
                [files],
            )
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
