"""What a mapping says about FHIR: which members, which codes stand for which form.

LOINC's own codes ship with the package; a clinic adds its local ones, without which
WAI-SR, SRS and ORS, which have none, are not known.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FhirCode(_Part):
    """What one code means: a form as a whole, its total, or one of its items."""

    instrument: str
    role: Literal["panel", "total", "item"]
    item: str | None = None
    rater: Literal["client", "therapist", "observer"] | None = None
    version: str | None = None


class FhirQuestionnaire(_Part):
    """What a questionnaire's canonical address means; ``items`` maps its linkIds."""

    instrument: str
    rater: Literal["client", "therapist", "observer"] | None = None
    version: str | None = None
    items: dict[str, str] = {}


class FhirMapping(_Part):
    """The FHIR part of a mapping.

    Attributes:
        match: the members that are read together as FHIR.
        codes: ``system|code`` or a bare code -> what it means.
        questionnaires: canonical address, without version -> what it means.
        answers: ``system|code`` or a bare code -> the item's value.
        cancellations: code of an Appointment's cancelationReason -> session status.
        goal_domains: code of a Goal's description or category -> goal domain.
        keep_classes, keep_types: only Encounters of these class or type codes.
        drop_classes, drop_types: no Encounter of these class or type codes.
    """

    match: tuple[str, ...] = Field(("*.ndjson", "*.json"), min_length=1)
    codes: dict[str, FhirCode] = {}
    questionnaires: dict[str, FhirQuestionnaire] = {}
    answers: dict[str, float] = {}
    cancellations: dict[str, str] = {}
    goal_domains: dict[str, str] = {}
    keep_classes: tuple[str, ...] = ()
    keep_types: tuple[str, ...] = ()
    drop_classes: tuple[str, ...] = ()
    drop_types: tuple[str, ...] = ()

    @property
    def n_entries(self) -> int:
        """How many codes and addresses it gives a meaning."""
        return (
            len(self.codes)
            + len(self.questionnaires)
            + len(self.answers)
            + len(self.cancellations)
            + len(self.goal_domains)
        )

    def over(self, below: FhirMapping) -> FhirMapping:
        """Return this mapping laid over the one that it extends."""
        return FhirMapping(
            match=self.match if "match" in self.model_fields_set else below.match,
            codes={**below.codes, **self.codes},
            questionnaires={**below.questionnaires, **self.questionnaires},
            answers={**below.answers, **self.answers},
            cancellations={**below.cancellations, **self.cancellations},
            goal_domains={**below.goal_domains, **self.goal_domains},
            keep_classes=self.keep_classes or below.keep_classes,
            keep_types=self.keep_types or below.keep_types,
            drop_classes=self.drop_classes or below.drop_classes,
            drop_types=self.drop_types or below.drop_types,
        )
