"""FHIR R4 through the door: all members of a delivery read, linked and laid flat.

``read_delivery`` is the way in. It leaves the canonical tables as text cells, as any
other export does; ids are keyed, codes translated and bad rows put aside after it.
"""

from rapport.ingest.fhir.delivery import FhirTables, read_delivery

__all__ = ["FhirTables", "read_delivery"]
