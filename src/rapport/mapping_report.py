"""What the mapping commands tell a person: presets, own mappings, a trial's counts."""

from __future__ import annotations

from typing import Any

from rapport.errors import MappingError
from rapport.mapping import load_mapping
from rapport.mapping.source import preset_names
from rapport.settings import Settings


def mappings_of(settings: Settings) -> dict[str, Any]:
    """Return every preset and every own mapping, whether it is valid, what it feeds."""
    own = {path.stem for path in (settings.home / "mappings").glob("*.toml")}
    rows = []
    for name in sorted(own | set(preset_names())):
        row: dict[str, Any] = {
            "source": name,
            "kind": "own" if name in own else "preset",
            "is_valid": True,
            "tables": [],
            "description": "",
        }
        try:
            mapping = load_mapping(settings.home, name)
        except MappingError:
            row["is_valid"] = False
        else:
            assert mapping is not None
            row["description"] = mapping.description
            row["tables"] = sorted(
                {
                    table
                    for entry in (*mapping.file, *mapping.preset)
                    for table in entry.tables()
                }
            )
        rows.append(row)
    return {"mappings": rows}


def print_mappings(found: dict[str, Any]) -> None:
    """Print one line a mapping."""
    for row in found["mappings"]:
        valid = "" if row["is_valid"] else "  NOT VALID: rapport mapping check says why"
        print(f"{row['source']:<16} {row['kind']:<7} {row['description']}{valid}")
        if row["tables"]:
            print(f"{'':<24} feeds {', '.join(row['tables'])}")


def print_check(found: dict[str, Any]) -> None:
    """Print a trial: what maps where, then where the rows would go. No cell is shown."""
    print(f"mapping of {found['source']}: valid, {found['n_entries']} entries")
    if not found["files"] and not found["refused"]:
        print("nothing to try it on: name a file, or put a delivery into the inbox")
        return
    for file in found["files"]:
        rows = file["rows"]
        parts = [f"{n:,} {name}" for name, n in rows.items() if name != "in" and n]
        print(f"\n{file['file']} -> {file['table']}: {rows['in']:,} rows in")
        print(f"  {', '.join(parts) or 'none of them loaded'}")
        for line in file["columns"]:
            mark = {
                "absent": "  (not in this file)",
                "required": "  (MISSING, required)",
            }
            how = mark.get(line["state"], "")
            if line["state"].endswith("items"):
                how = f": {line['state']}"
            print(f"    {line['column']:<18} <- {line['from']}{how}")
        if file["n_columns_dropped"]:
            print(f"    {file['n_columns_dropped']} columns are not read")
        for reason in file["reasons"]:
            where = f", column {reason['column']}" if reason["column"] else ""
            print(
                f"  quarantined: {reason['n_rows']:,} rows{where} [{reason['reason']}]"
            )
        for notice in file["notices"]:
            where = f"{notice['column']}: " if notice["column"] else ""
            print(f"  counted: {where}{notice['n_rows']:,} [{notice['reason']}]")
    for row in found["tables_absent"]:
        print(f"\n{row['table']}: not in this file (no {row['column']})")
    if found["ignored"]:
        print(f"\n{found['ignored']} files are known and not wanted")
    for row in found["refused"]:
        print(f"\nrefused whole: {row['file']} [{row['reason']}]")
    print("\nNothing was loaded. What a reason means: docs/reference/reason-codes.md")
