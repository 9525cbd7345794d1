"""The gate: Great Expectations in a process of its own decides over the night.

This package imports no Great Expectations; the process ``python -m rapport.validate``
does. What comes back is booleans, counts and names of ours, never a value.
"""

from rapport.validate.gate import (
    Gate,
    GateResult,
    decide,
    describe_finding,
    describe_refusal,
    judge_extract,
    received_on,
    run_gate,
    what_failed,
)
from rapport.validate.suites import Check, find_check, load_suites
from rapport.validate.waivers import (
    Waiver,
    Waivers,
    add_waiver,
    load_waivers,
    log_use,
)

__all__ = [
    "Check",
    "Gate",
    "GateResult",
    "Waiver",
    "Waivers",
    "add_waiver",
    "decide",
    "describe_finding",
    "describe_refusal",
    "find_check",
    "judge_extract",
    "load_suites",
    "load_waivers",
    "log_use",
    "received_on",
    "run_gate",
    "what_failed",
]
