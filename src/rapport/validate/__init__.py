"""The gate: Great Expectations in a process of its own decides over the night.

This package imports no Great Expectations; the process ``python -m rapport.validate``
does. What comes back is booleans, counts and names of ours, never a value.
"""

from rapport.validate.gate import Gate, GateResult, describe_refusal, run_gate
from rapport.validate.suites import Check, load_suites

__all__ = ["Check", "Gate", "GateResult", "describe_refusal", "load_suites", "run_gate"]
