"""Look for planted strings with the product's own search (privacy.md B2)."""

from collections.abc import Mapping
from pathlib import Path

from rapport.privacy.scan import Hit, Scan, search_bytes
from rapport.privacy.scan import search_folder as _search_folder
from rapport.warehouse.tables import table_rows

__all__ = ["Hit", "Scan", "search_bytes", "search_folder"]


def search_folder(folder: Path, canaries: Mapping[str, str]) -> Scan:
    """Search every byte and every decoded table row below a folder."""
    return _search_folder(folder, canaries, table_rows)
