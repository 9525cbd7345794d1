"""The identity map ``vault/identity.sqlite``: the one place that knows source ids.

Rows are inserted if absent before a delivery's ledger commits, so a killed pick-up
leaves at most rows that the next try finds again. Nothing here is published.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rapport.files import private_folder
from rapport.privacy.store import is_store_sealed, open_store

_SCHEMA = """
create table if not exists person (
    client_key text primary key,
    uid text not null unique,
    source text not null,
    client_id text not null,
    unique (source, client_id)
) strict;
create table if not exists staff (
    therapist_key text primary key,
    source text not null,
    therapist_id text not null,
    unique (source, therapist_id)
) strict;
create table if not exists raw_code (
    token text not null,
    column_name text not null,
    spelling text not null,
    primary key (token, column_name)
) strict;
create table if not exists delivery_name (
    batch_id text primary key,
    source text not null,
    delivery_id text not null
) strict;
create table if not exists file_name (
    batch_id text not null,
    file text not null,
    name text not null,
    primary key (batch_id, file)
) strict;
create table if not exists subject (
    entity text not null,
    key text not null,
    uid text not null unique,
    primary key (entity, key)
) strict;
"""


class Vault:
    """The identity map of one RAPPORT_HOME."""

    def __init__(self, home: Path) -> None:
        folder = home / "vault"
        private_folder(folder)
        self._home = home
        self.path = folder / "identity.sqlite"
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        with self.writing() as con:
            con.executescript(_SCHEMA)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with open_store(self._home, self.path, writes=False) as con:
            yield con

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open the map for a change; what is committed is kept."""
        with open_store(self._home, self.path, writes=True) as con:
            yield con

    def remember(
        self,
        source: str,
        *,
        clients: Iterable[tuple[str, str]],
        therapists: Iterable[tuple[str, str]],
        raw_codes: Iterable[tuple[str, str, str]],
    ) -> None:
        """Insert, if absent, (id, key) pairs and (token, column, spelling) rows.

        A key stands for one id: the table's keys refuse a second id with the same key,
        which 130 bits make impossible by chance.
        """
        with self.writing() as con, con:
            con.executemany(
                "insert or ignore into person (client_key, uid, source, client_id)"
                " values (?, ?, ?, ?)",
                [(key, uuid.uuid4().hex, source, id_) for id_, key in clients],
            )
            con.executemany(
                "insert or ignore into staff (therapist_key, source, therapist_id)"
                " values (?, ?, ?)",
                [(key, source, id_) for id_, key in therapists],
            )
            con.executemany(
                "insert or ignore into raw_code (token, column_name, spelling)"
                " values (?, ?, ?)",
                list(raw_codes),
            )

    def name_delivery(
        self, batch_id: str, source: str, delivery_id: str, files: dict[str, str]
    ) -> None:
        """Remember the true names behind the opaque ones (file -> name)."""
        with self.writing() as con, con:
            con.execute(
                "insert or ignore into delivery_name values (?, ?, ?)",
                (batch_id, source, delivery_id),
            )
            con.executemany(
                "insert or ignore into file_name values (?, ?, ?)",
                [(batch_id, file, name) for file, name in files.items()],
            )

    def delivery_ids(self) -> dict[str, str]:
        """Return the true delivery id behind each batch id."""
        with self._connect() as con:
            rows = con.execute("select batch_id, delivery_id from delivery_name")
            return dict(rows.fetchall())

    def delivery_sources(self) -> dict[str, tuple[str, str]]:
        """Return the source and the true delivery id behind each batch id."""
        with self._connect() as con:
            rows = con.execute(
                "select batch_id, source, delivery_id from delivery_name"
            )
            return {batch: (source, id_) for batch, source, id_ in rows.fetchall()}

    def named(self, keys: Iterable[str]) -> list[tuple[str, str, str, str]]:
        """List (client_key, source, client_id, uid) of some people."""
        with self._connect() as con:
            return [
                row
                for key in sorted(set(keys))
                for row in con.execute(
                    "select client_key, source, client_id, uid from person"
                    " where client_key = ?",
                    (key,),
                ).fetchall()
            ]

    def erase(self, keys: Iterable[str], episodes: Iterable[str] = ()) -> None:
        """Delete some people and their episodes, without a trace in free pages."""
        with self.writing() as con, con:
            con.executemany(
                "delete from person where client_key = ?", [(key,) for key in keys]
            )
            con.executemany(
                "delete from subject where entity = 'episode' and key = ?",
                [(key,) for key in episodes],
            )
        self._rewrite()

    def rotate(self, generation: int, rekey: Callable[[str], str]) -> None:
        """Put every key under the next master, once; ``uid`` stays.

        Args:
            generation: how many rotations there are with this one; the file remembers.
            rekey: old key -> new one.
        """
        with self.writing() as con, con:
            con.execute("begin immediate")
            if con.execute("pragma user_version").fetchone()[0] < generation:
                _put_under(con, generation, rekey)
        # Also when the keys are there already: a kill may have come before this.
        self._rewrite()

    def _rewrite(self) -> None:
        """Write the file anew, so that no free page keeps what it held."""
        if is_store_sealed(self._home, self.path):
            with self.writing() as con:
                con.execute("vacuum")
            return
        building = self.path.with_name(f"{self.path.name}.building")
        building.unlink(missing_ok=True)
        with self._connect() as con:
            con.execute("vacuum into ?", (str(building),))
        building.chmod(0o600)
        with building.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(building, self.path)

    def people(self) -> Iterator[tuple[str, str, str]]:
        """Yield (client_key, source, client_id), by key: for those allowed to see it."""
        with self._connect() as con:
            yield from con.execute(
                "select client_key, source, client_id from person order by client_key"
            )


def _put_under(
    con: sqlite3.Connection, generation: int, rekey: Callable[[str], str]
) -> None:
    for table, column in (
        ("person", "client_key"),
        ("staff", "therapist_key"),
        ("subject", "key"),
    ):
        old = con.execute(f"select {column} from {table}").fetchall()
        con.executemany(
            f"update {table} set {column} = ? where {column} = ?",
            [(rekey(key), key) for (key,) in old],
        )
    con.execute(f"pragma user_version = {generation}")
