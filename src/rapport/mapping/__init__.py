"""Canonical tables and vendor mappings, as data (contract §3)."""

from rapport.mapping.canonical import BY_NAME, NOT_WANTED, TABLES, Column, Table
from rapport.mapping.fhir import FhirCode, FhirMapping, FhirQuestionnaire
from rapport.mapping.registry import OwnInstruments, read_own_instruments
from rapport.mapping.source import load_mapping, preset_names
from rapport.mapping.vendor import FileMapping, Mapping, RowFilter

__all__ = [
    "BY_NAME",
    "NOT_WANTED",
    "TABLES",
    "Column",
    "FhirCode",
    "FhirMapping",
    "FhirQuestionnaire",
    "FileMapping",
    "Mapping",
    "OwnInstruments",
    "RowFilter",
    "Table",
    "load_mapping",
    "preset_names",
    "read_own_instruments",
]
