"""Which released extracts hold a person: by uid, as the vault keeps them (C6, A5)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path


def releases_holding(home: Path, uids: Iterable[str]) -> list[dict[str, str]]:
    """List the releases that held one of some people, with who holds them.

    ``vault/releases/<release_id>.json`` has ``uids`` and ``requester``; without the folder
    nothing was ever released.
    """
    wanted = set(uids)
    found = []
    for path in sorted((home / "vault" / "releases").glob("*.json")):
        said = json.loads(path.read_text("utf-8"))
        if wanted.intersection(said.get("uids", ())):
            holder = str(said.get("requester", "named in extracts/ledger.jsonl"))
            found.append({"release_id": path.stem, "holder": holder})
    return found
