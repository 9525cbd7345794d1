"""What changed, what needs a person, can I trust it?"""

from __future__ import annotations

from typing import Any

from rapport.dashboard.snapshot import Snapshot


def page(snapshot: Snapshot) -> dict[str, Any]:
    """Return what index.html shows."""
    return {}
