"""Try a mapping without loading anything: what maps where, and where the rows would go.

The files go through the door itself, in a RAPPORT_HOME of a moment with keys of a moment;
both are gone when it ends. Counts and the mapping's own words are told, no cell, no header
that the mapping does not name.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from rapport.errors import MappingError, UsageError
from rapport.ingest.inbox import MANIFEST, Found, discover
from rapport.ingest.load import Door
from rapport.ingest.shape import Shape
from rapport.ingest.translate import CodeLists
from rapport.mapping import load_mapping
from rapport.mapping.source import preset_names
from rapport.privacy import KeyRing
from rapport.settings import Settings
from rapport.state import ControlState
from rapport.warehouse.connections import plain_folder


def check_mapping(
    settings: Settings, source: str, files: list[Path], keys: KeyRing | None
) -> dict[str, Any]:
    """Return what a source's mapping makes of some files, or of its next delivery.

    Args:
        settings: the settings.
        source: the folder's name under ``inbox/``.
        files: what to try it on; none takes the source's next delivery of the inbox.
        keys: the keys of the home, to tell deliveries that are known; or None.

    Raises:
        MappingError: the mapping is not valid, or there is none.
        UsageError: a file is not there.
    """
    codes = CodeLists(settings.project_root / "dbt_project" / "seeds")
    mapping = load_mapping(settings.home, source, codes.spellings)
    if mapping is None:
        raise MappingError(
            f"{source}: there is no mapping of this source, and no preset of its name",
            next_step=f"write mappings/{source}.toml, beginning with rapport mapping infer"
            f" FILE; or build on a preset: {', '.join(preset_names())}",
        )
    found = files or _next_delivery(settings, source, keys)
    told: dict[str, Any] = {
        "source": source,
        "description": mapping.description,
        "n_entries": len(mapping.file)
        + len(mapping.preset)
        + (mapping.fhir.n_entries if mapping.fhir else 0),
        "files": [],
        "refused": [],
    }
    if found:
        told |= _tried(settings, source, found)
    return told


def _next_delivery(settings: Settings, source: str, keys: KeyRing | None) -> list[Path]:
    known = {delivery.batch_id for delivery in ControlState(settings.home).deliveries()}
    complete = [
        found
        for found in discover(settings, settle=False).complete
        if found.source == source
    ]
    new = [
        found
        for found in complete
        if keys is None or keys.batch_id(source, found.delivery_id) not in known
    ]
    chosen = new[0] if new else complete[-1] if complete else None
    if chosen is not None:
        return [member for member in chosen.members() if member.name != MANIFEST]
    folder = settings.home / "inbox" / source
    return sorted(f for f in folder.glob("*") if f.is_file()) if folder.is_dir() else []


def _tried(settings: Settings, source: str, files: list[Path]) -> dict[str, Any]:
    # Where each build empties what a kill left behind: it holds the delivery itself.
    n_bytes = sum(file.stat().st_size for file in files if file.is_file())
    work = plain_folder(settings, 100 * n_bytes)
    with tempfile.TemporaryDirectory(prefix="check-", dir=work) as folder:
        home = Path(folder)
        delivery = home / "inbox" / source / "check"
        delivery.mkdir(parents=True)
        for file in files:
            if not file.is_file() or file.is_symlink():
                raise UsageError("a file to check is not there, or is no plain file")
            shutil.copyfile(file, delivery / file.name)
        own = settings.home / "mappings" / f"{source}.toml"
        if own.exists():
            (home / "mappings").mkdir()
            shutil.copyfile(own, home / "mappings" / own.name)
        instruments = settings.home / "instruments"
        if instruments.is_dir():
            shutil.copytree(instruments, home / "instruments")
        guarded = settings.security.model_copy(update={"encrypt_at_rest": False})
        trial = settings.model_copy(update={"home": home, "security": guarded})
        keys = KeyRing.of(trial, may_create=True)
        state = ControlState(home)
        shapes: dict[str, Shape] = {}
        with Door(trial, keys) as door:
            door.on_shape = shapes.__setitem__
            door.load(Found(source, "check", delivery), state)
        return _told(state, shapes)


def _told(state: ControlState, shapes: dict[str, Shape]) -> dict[str, Any]:
    refusals, notices = state.refusals(), state.notices()
    files = []
    for row in state.ledger():
        name, table = str(row[2]), str(row[3])
        shape = shapes.get(name)
        files.append(
            {
                "file": name,
                "table": table,
                "columns": [
                    {"column": column, "from": said, "state": how}
                    for column, said, how in (shape.described() if shape else [])
                ],
                "rows": dict(
                    zip(
                        ("in", "loaded", "quarantined", "filtered", "footer", "blank"),
                        row[4:10],
                        strict=True,
                    )
                ),
                "reasons": [
                    {
                        "column": r["column_name"],
                        "reason": r["reason"],
                        "n_rows": r["n_rows"],
                    }
                    for r in refusals
                    if r["file"] == name
                ],
                "notices": [
                    {
                        "column": n["column_name"],
                        "reason": n["reason"],
                        "n_rows": n["n_rows"],
                    }
                    for n in notices
                    if n["file"] == name and n["reason"] != "column_dropped"
                ],
                "n_columns_dropped": sum(
                    n["file"] == name and n["reason"] == "column_dropped"
                    for n in notices
                ),
            }
        )
    named = {row["file"] for row in files}
    rest = [n for n in notices if n["file"] not in named]
    return {
        "files": files,
        "ignored": sum(n["reason"] == "file_ignored" for n in rest),
        "tables_absent": [
            {"table": n["table_name"], "column": n["column_name"]}
            for n in rest
            if n["reason"] == "table_absent"
        ],
        "refused": [
            {"file": r["file"], "reason": r["reason"]}
            for r in refusals
            if r["first_row"] is None
        ],
    }
