"""The only room that opens DuckDB for writing, and the only one that runs dbt."""

from rapport.warehouse.build import Dbt, build_candidate
from rapport.warehouse.connections import (
    candidate_path,
    in_memory,
    open_candidate,
    open_published,
    open_snapshot,
    published_path,
    scratch,
    scratch_over_published,
    work_path,
)
from rapport.warehouse.publish import (
    candidate_mark,
    publish_snapshot,
    published_runs,
)

__all__ = [
    "Dbt",
    "build_candidate",
    "candidate_mark",
    "candidate_path",
    "in_memory",
    "open_candidate",
    "open_published",
    "open_snapshot",
    "publish_snapshot",
    "published_path",
    "published_runs",
    "scratch",
    "scratch_over_published",
    "work_path",
]
