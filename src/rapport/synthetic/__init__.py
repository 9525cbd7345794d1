"""A seeded clinic with planted truth, written as canonical deliveries.

It imports no pipeline room, and no pipeline room imports it.
"""

from rapport.synthetic.clinic import GeneratedClinic, generate

__all__ = ["GeneratedClinic", "generate"]
