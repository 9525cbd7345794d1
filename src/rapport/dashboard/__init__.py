"""The pages and the morning digest, made from the published snapshot alone."""

from rapport.dashboard.digest import write_digest
from rapport.dashboard.pages import write_dashboard
from rapport.dashboard.snapshot import Notice

__all__ = ["Notice", "write_dashboard", "write_digest"]
