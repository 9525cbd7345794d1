"""``rapport extract verify``: a package judged by itself and a public key (D).

Needs no RAPPORT_HOME. Every check says one line; a line names a table, a column, a row
number or a count, never a value and never a person.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import rfc8785

from rapport.errors import RequestInvalid, UsageError
from rapport.extracts import package
from rapport.extracts.columns import MICRODATA, PSEUDONYM, TABLES, Column
from rapport.extracts.gate import gate_problems
from rapport.extracts.ledger import standings
from rapport.extracts.request import K_MICRODATA
from rapport.extracts.risk import measure_classes, measure_trajectory
from rapport.privacy.scan import read_list, search_folder
from rapport.warehouse import in_memory
from rapport.warehouse.tables import table_rows

_DATE = (
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|(19|20)\d{6})"
    r"([T ].*)?$"
)
_LONG = 64
_UNSUMMED = ("SHA256SUMS",)


@dataclass(frozen=True)
class Check:
    """One line of the verdict."""

    ok: bool
    line: str


def verify_package(
    folder: Path, key: Path | None, canaries: Path | None, today: date
) -> list[Check]:
    """Run all checks on a package.

    Args:
        folder: the package.
        key: the pinned public key (base64 or 32 bytes), or none.
        canaries: a file of strings, one a line, that may be in no file.
        today: the day to hold the expiry against.

    Raises:
        UsageError: there is no package, or a given file cannot be read (exit 2).
    """
    if not (folder / "release.json").is_file():
        if (folder / "SHA256SUMS").is_file() or (folder / "datapackage.json").is_file():
            return [Check(False, "release.json: listed but missing")]
        raise UsageError(
            "no release.json: this folder is no released package",
            next_step="name the folder that holds release.json",
        )
    try:
        said: dict[str, Any] = json.loads((folder / "release.json").read_text("utf-8"))
        names = {"files", "public_key", "signature", "profile", "k"} - set(said)
        int(said.get("k", 0))
    except (ValueError, TypeError):
        return [Check(False, "release.json: not readable")]
    if names:
        return [Check(False, f"release.json: lacks {', '.join(sorted(names))}")]
    checks = seal_checks(folder, said, key)
    if canaries is not None:
        checks += _canaries(folder, canaries)
    checks += _standing(folder, said, today)
    checks += _contents(folder, said)
    return checks


def seal_checks(folder: Path, said: dict[str, Any], key: Path | None) -> list[Check]:
    """Hold signature and sums alone against the files: was anything altered?"""
    return [*_signature(said, key), *_sums(folder, said)]


def _signature(said: dict[str, Any], key: Path | None) -> Iterator[Check]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signed = {name: value for name, value in said.items() if name != "signature"}
    id_ = str(said.get("key_id", ""))
    try:
        public = base64.b64decode(said["public_key"], validate=True)
        signature = base64.b64decode(said["signature"], validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(signature, rfc8785.dumps(signed))  # fmt: skip
    except (InvalidSignature, ValueError, TypeError, rfc8785.CanonicalizationError):
        yield Check(False, f"release.json: signature does not match key {id_}")
        return
    if hashlib.sha256(public).hexdigest()[:16] != id_:
        yield Check(False, f"release.json: signature does not match key {id_}")
    elif key is None:
        yield Check(True, "release.json: signed by an unknown key; integrity only")
    elif _pinned(key) != public:
        yield Check(False, "release.json: signed by an unknown key; integrity only")
    else:
        yield Check(True, f"release.json: signature matches key {id_}")


def _pinned(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return content if len(content) == 32 else base64.b64decode(content.strip(), validate=True)  # fmt: skip
    except (OSError, ValueError):
        raise UsageError("the key file holds no public key") from None


def _sums(folder: Path, said: dict[str, Any]) -> Iterator[Check]:
    path = folder / "SHA256SUMS"
    listed: dict[str, str] = {}
    if not path.is_file():
        yield Check(False, "SHA256SUMS: listed but missing")
    else:
        for line in path.read_text("utf-8", errors="replace").splitlines():
            digest, _, name = line.partition("  ")
            listed[name] = digest
    found = package.file_sums(folder, but=_UNSUMMED)
    told: set[str] = set()
    for name in sorted({*listed, *found}):
        problem = None
        if name not in found:
            problem = "listed but missing"
        elif name not in listed:
            problem = "not listed" if listed else None
        elif listed[name] != found[name]["sha256"]:
            problem = "bytes differ from SHA256SUMS"
        if problem:
            told.add(name)
            yield Check(False, f"{name}: {problem}")
    files = said["files"] if isinstance(said["files"], dict) else {}
    held = {name: sums for name, sums in found.items() if name != "release.json"}
    for name in sorted({*files, *held} - told):
        if name not in held:
            problem = "listed but missing"
        elif name not in files:
            problem = "not listed"
        elif files[name] != held[name]:
            problem = "bytes differ from release.json"
        else:
            continue
        told.add(name)
        yield Check(False, f"{name}: {problem}")
    if not told and listed:
        yield Check(True, f"sums: {len(found)} files as listed")


def _canaries(folder: Path, canaries: Path) -> Iterator[Check]:
    try:
        planted = read_list(canaries)
    except (OSError, UnicodeDecodeError):
        raise UsageError("the file of canaries cannot be read") from None
    except ValueError as error:
        raise UsageError(f"the file of canaries: {error}") from None
    found = search_folder(folder, planted, table_rows)
    hits = sorted({(hit.path, int(hit.canary)) for hit in found.hits})
    for path, number in hits:
        yield Check(False, f"{path}: canary #{number}")
    for path in found.undecoded:
        yield Check(False, f"{path}: cannot be searched")
    if not hits and not found.undecoded:
        yield Check(True, f"canaries: {len(planted)} searched, none found")


def _standing(folder: Path, said: dict[str, Any], today: date) -> Iterator[Check]:
    """Hold the package against its expiry, and the ledger where it is at hand."""
    ends = str(said.get("expires_on", ""))
    try:
        expired = date.fromisoformat(ends) < today
    except ValueError:
        yield Check(False, "release.json: expires_on is no date")
        return
    home = folder.resolve().parents[2] if len(folder.resolve().parents) > 2 else None
    if home is not None and (home / "extracts" / "ledger.jsonl").is_file():
        try:
            known = standings(home)
        except RequestInvalid as error:
            yield Check(False, error.message.replace("\n", " "))
            known = {}
        for standing in known.values():
            withdrawn = standing.last("withdrawn")
            if standing.release_id == said.get("release_id") and withdrawn:
                yield Check(False, f"withdrawn on {withdrawn['at'][:10]}: {withdrawn.get('reason', '')}")  # fmt: skip
    yield Check(not expired, f"expired on {ends}" if expired else f"in use until {ends}")  # fmt: skip


def _contents(folder: Path, said: dict[str, Any]) -> Iterator[Check]:
    profile = str(said["profile"])
    with in_memory() as con:
        try:
            tables = package.read_tables(con, folder / "data")
        except duckdb.Error:
            yield Check(False, "data: a Parquet file cannot be read")
            return
        names = {p.stem for p in (folder / "data").glob("*") if p.is_file()}
        for name in sorted(names - set(tables)):
            yield Check(False, f"{name}: not allowed in {profile}")
        for table in tables:
            path = folder / "data" / f"{table}.csv"
            n = package.csv_differences(con, table, path)
            said_rows = f"{table}: CSV and Parquet differ in {n} rows"
            yield Check(not n, said_rows if n else f"{table}: CSV and Parquet agree")
        wrong = [problem for table in tables for problem in _forbidden(con, table, profile)]  # fmt: skip
        yield from (Check(False, line) for line in wrong)
        if not wrong:
            yield Check(True, "columns and cells: nothing that the profile forbids")
        if profile in ("safe_harbor", "expert", "limited") and "clients" in tables:
            yield from _risk(con, folder, said)
        elif profile == "public":
            from rapport.extracts.public import audit_tables

            yield from (Check(ok, line) for ok, line in audit_tables(con, tables, int(said["k"])))  # fmt: skip


def _forbidden(
    con: duckdb.DuckDBPyConnection, table: str, profile: str
) -> Iterator[str]:
    allowed = {
        column.name: column
        for column in TABLES.get(table, ())
        if not column.profiles or profile in column.profiles
    }
    if table in MICRODATA and profile == "public":
        allowed = {}
    columns = con.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = 'data' and table_name = ? order by ordinal_position",
        [table],
    ).fetchall()
    if profile == "public" and table not in MICRODATA:
        from rapport.extracts.public import public_columns

        allowed = dict.fromkeys(public_columns(table), TABLES["clients"][0])
    for name, kind in columns:
        if name not in allowed:
            yield f"{table}.{name}: not allowed in {profile}"
            continue
        if kind in ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE") and profile not in ("limited", "public"):  # fmt: skip
            yield f"{table}.{name}: looks like a date (row 2)"
        if kind == "VARCHAR":
            yield from _bad_cells(con, table, name, profile, allowed[name])
    for name, row in package.formulas(con, table):
        yield f"{table}.{name}: formula (row {row})"


def _bad_cells(
    con: duckdb.DuckDBPyConnection,
    table: str,
    name: str,
    profile: str,
    column: Column,
) -> Iterator[str]:
    def first(condition: str, values: Sequence[Any]) -> int | None:
        return package.first_row(con, table, name, condition, values)

    if profile not in ("limited", "public"):
        at = first("regexp_matches(cell, ?)", [_DATE])
        if at is not None:
            yield f"{table}.{name}: looks like a date (row {at})"
    at = first("length(cell) > ?", [_LONG])
    if at is not None:
        yield f"{table}.{name}: not allowed in {profile} (row {at})"
    elif table in MICRODATA and name in ("client_id", "episode_id"):
        at = first("not regexp_matches(cell, ?)", [PSEUDONYM])
        if at is not None:
            yield f"{table}.{name}: not allowed in {profile} (row {at})"
    elif column.codes and column.kind == "category":
        at = first("not list_contains(?, cell)", [[*column.codes, "other"]])
        if at is not None:
            yield f"{table}.{name}: not allowed in {profile} (row {at})"


def _risk(
    con: duckdb.DuckDBPyConnection, folder: Path, said: dict[str, Any]
) -> Iterator[Check]:
    """Measure k, l, the masked share and the trajectory anew, on what lies there."""
    try:
        report = json.loads((folder / "risk_report.json").read_text("utf-8"))
        request_digest = str(report["request_digest"])
        n_requested, n_dropped = int(report["n_requested"]), int(report["n_dropped"])
    except (OSError, ValueError, KeyError, TypeError):
        yield Check(False, "risk_report.json: not readable")
        return
    present = con.execute(
        "select column_name from information_schema.columns"
        " where table_schema = 'data' and table_name = 'clients'"
    ).fetchall()
    held = {row[0] for row in present}
    if "client_id" not in held:
        return
    # Not what the manifest names: every quasi-identifier that is in the file counts.
    qis = [c.name for c in TABLES["clients"] if c.kind == "qi" and c.name in held]
    classes = measure_classes(con, qis)
    trajectory = measure_trajectory(con, request_digest, qis)
    measured = {
        "k_required": max(int(said["k"]), K_MICRODATA),
        "k_min": classes.k_min,
        "l_min": classes.l_min,
        "n_requested": max(n_requested, classes.n_persons),
        "n_masked": classes.n_masked,
        "n_dropped": n_dropped,
        "trajectory": {"mean": trajectory.mean},
    }
    if said["profile"] == "limited":
        yield Check(
            classes.n_persons >= int(said["k"]),
            f"persons: {classes.n_persons}, needs {said['k']}; a limited data set, "
            f"smallest class {classes.k_min}, trajectory {trajectory.mean:.3f}",
        )
        return
    wrong = gate_problems(measured)
    yield from (Check(False, line) for line in wrong)
    if not wrong:
        yield Check(
            True,
            f"k: smallest class has {classes.k_min} persons; l: "
            f"{min(classes.l_min.values(), default=0)}; trajectory: mean risk "
            f"{trajectory.mean:.3f}",
        )


def passed(checks: Sequence[Check]) -> bool:
    """Tell whether every check passed; none at all is no pass."""
    return bool(checks) and all(check.ok for check in checks)
