"""Deliveries through the door in this process, and what bronze and the ledger hold then."""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rapport import night
from rapport.privacy import Vault
from rapport.settings import Settings, load_settings
from rapport.state import ControlState


@dataclass(frozen=True)
class Doorway:
    """A RAPPORT_HOME whose inbox is filled and taken in."""

    home: Path

    @property
    def settings(self) -> Settings:
        return load_settings({"RAPPORT_HOME": str(self.home)})

    def map(self, source: str, toml: str) -> None:
        """Write a source's own mapping."""
        folder = self.home / "mappings"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{source}.toml").write_text(toml, encoding="utf-8")

    def take(
        self,
        source: str,
        files: dict[str, str | bytes] | Path,
        delivery_id: str = "d1",
    ) -> None:
        """Put a delivery into the inbox and take it in; its rows must sum."""
        folder = self.home / "inbox" / source / delivery_id
        folder.mkdir(parents=True)
        if isinstance(files, Path):
            for file in files.iterdir():
                if file.name != "SOURCE.md":
                    shutil.copyfile(file, folder / file.name)
        else:
            for name, said in files.items():
                content = said if isinstance(said, bytes) else said.encode()
                (folder / name).write_bytes(content)
        (folder / "_SUCCESS").touch()
        night.ingest(self.settings)
        ledger = self.ledger()
        assert ledger
        for row in ledger:
            parts = row[2:]
            assert row[1] == sum(parts), row

    def rows(self, table: str) -> list[dict]:
        """Return what bronze holds of a table."""
        files = sorted((self.home / "bronze").glob(f"*/{table}/*.parquet"))
        if not files:
            return []
        with duckdb.connect() as con:
            con.execute(
                "select * from read_parquet(?) order by row_no",
                [[str(f) for f in files]],
            )
            names = [d[0] for d in con.description]
            return [dict(zip(names, row, strict=True)) for row in con.fetchall()]

    def ledger(self) -> list[tuple]:
        """Return (table, in, loaded, quarantined, filtered, footer, blank) a file."""
        return [tuple(row)[3:10] for row in ControlState(self.home).ledger()]

    def loaded(self, table: str) -> int:
        """Return how many rows of a table were loaded."""
        return sum(row[2] for row in self.ledger() if row[0] == table)

    def refusals(self) -> dict[str, int]:
        """Return how many rows each reason refused."""
        found: Counter[str] = Counter()
        for refusal in ControlState(self.home).refusals():
            found[refusal["reason"]] += refusal["n_rows"]
        return dict(found)

    def notices(self) -> dict[tuple[str, str, str], int]:
        """Return (table, column or rule, reason) -> count."""
        found: Counter[tuple[str, str, str]] = Counter()
        for notice in ControlState(self.home).notices():
            key = (notice["table_name"], notice["column_name"], notice["reason"])
            found[key] += notice["n_rows"]
        return dict(found)

    def client_ids(self) -> dict[str, str]:
        """Return client key -> source id, from the vault."""
        return {key: id_ for key, _, id_ in Vault(self.home).people()}
