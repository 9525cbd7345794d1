"""``rapport doctor --scan``: where given strings lie below RAPPORT_HOME, by number."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from rapport.errors import UsageError
from rapport.privacy.scan import read_list, search_folder
from rapport.settings import Settings
from rapport.state import writer_lock
from rapport.warehouse.connections import leave_plain_folder, plain_folder
from rapport.warehouse.tables import table_reader

# Where what was delivered, and who it is of, may lie.
EXPECTED = ("inbox", "quarantine", "vault")


def scan_home(settings: Settings, list_: Path) -> dict[str, Any]:
    """Search everything below RAPPORT_HOME for the strings of a list.

    The writer's lock is held, so that nothing moves while it is read.

    Raises:
        UsageError: the list is not readable, or a string is too short (exit 2).
        WriterBusy: a night is running (exit 5).
    """
    try:
        canaries = read_list(list_)
    except OSError:
        raise UsageError("the list is not readable") from None
    except ValueError as error:
        said = "it is not UTF-8" if isinstance(error, UnicodeError) else str(error)
        raise UsageError(
            f"the list cannot be searched for: {said}",
            next_step="write one string a line, each of at least 8 characters",
        ) from None
    own = list_.resolve()
    aside = plain_folder(settings, 1 << 30)
    with writer_lock(settings.home):
        found = search_folder(
            settings.home,
            canaries,
            table_reader(settings.home),
            aside=aside,
        )
    leave_plain_folder(settings, aside)
    hits: dict[tuple[str, str], set[str]] = {}
    for hit in found.hits:
        if settings.home / hit.path != own:
            hits.setdefault((hit.path, hit.canary), set()).add(hit.form)
    return {
        "home": str(settings.home),
        "n_strings": len(canaries),
        "n_files": found.n_files,
        "n_rows": found.n_rows,
        "hits": [
            {
                # A file's name may be what was looked for, or a person's.
                "path": path if path.split("/")[0] != "inbox" else _opaque(path),
                "number": int(number),
                "forms": sorted(forms),
                "expected": path.split("/")[0] in EXPECTED,
            }
            for (path, number), forms in sorted(hits.items())
        ],
        "undecoded": [
            path if path.split("/")[0] != "inbox" else _opaque(path)
            for path in found.undecoded
        ],
    }


def _opaque(path: str) -> str:
    """Return a delivered file's place without the names that a person gave."""
    parts = path.split("/")
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return "/".join([*parts[:2], f"(sha256 of its path: {digest})"])


def print_scan(found: dict[str, Any]) -> None:
    """Print what a search found, on stdout: files and numbers, never a string."""
    print(
        f"{found['n_strings']} strings × {found['n_files']:,} files and "
        f"{found['n_rows']:,} decoded rows: {len(found['hits'])} hits"
    )
    for hit in found["hits"]:
        mark = " (kept there by design)" if hit["expected"] else ""
        print(f"  {hit['path']}: string {hit['number']}{mark}")
    for path in found["undecoded"]:
        print(f"  {path}: not readable as what it says it is")
