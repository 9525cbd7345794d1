"""Control state: what must survive a refused or killed night (design.md, Control state)."""

from rapport.state.control import (
    CheckFinding,
    CheckResult,
    ControlState,
    Delivery,
    DeliveryMetric,
    LedgerRow,
    Notice,
    Refusal,
    Run,
)
from rapport.state.lock import writer_lock

__all__ = [
    "CheckFinding",
    "CheckResult",
    "ControlState",
    "Delivery",
    "DeliveryMetric",
    "LedgerRow",
    "Notice",
    "Refusal",
    "Run",
    "writer_lock",
]
