"""Control state: what must survive a refused or killed night (design.md, Control state)."""

from rapport.state.control import (
    BuiltFile,
    CheckFinding,
    CheckResult,
    ControlState,
    Deletion,
    Delivery,
    DeliveryMetric,
    LedgerRow,
    Notice,
    Refusal,
    Run,
    schema_version,
)
from rapport.state.lock import writer_lock

__all__ = [
    "BuiltFile",
    "CheckFinding",
    "CheckResult",
    "ControlState",
    "Deletion",
    "Delivery",
    "DeliveryMetric",
    "LedgerRow",
    "Notice",
    "Refusal",
    "Run",
    "schema_version",
    "writer_lock",
]
