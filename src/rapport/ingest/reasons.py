"""The registry of reason codes: what each means, and what a person does about it.

A code is stable, and a retired one is not used again. ``docs/reference/reason-codes.md``
is rendered from here (``python -m rapport.ingest.reasons``); messages link to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

PAGE = "docs/reference/reason-codes.md"
Severity: TypeAlias = Literal["row", "file", "delivery", "notice"]
_HEADINGS: dict[Severity, tuple[str, str]] = {
    "delivery": (
        "Deliveries",
        "The delivery is refused, or a part of it that is no file.",
    ),
    "file": ("Files", "The file, sheet or member is in quarantine whole."),
    "row": ("Rows", "The row is in quarantine whole; the rest of its file is loaded."),
    "notice": ("Notices", "Loaded all the same, and counted."),
}


@dataclass(frozen=True)
class Reason:
    """One reason.

    Attributes:
        code: stable.
        severity: what it keeps out.
        meaning: in a few words, for a message.
        mend: what to do.
    """

    code: str
    severity: Severity
    meaning: str
    mend: str

    @property
    def link(self) -> str:
        """Return where the page explains it."""
        return f"{PAGE}#{self.code}"


_EXPORT_AGAIN = "Export it again and deliver the new file."
_CORRECT = "Correct the cell in the export, then `rapport quarantine retry BATCH`."
_CUT = "The transfer was interrupted, or a program was still writing. Deliver the whole file."
_BOMB = (
    "No export looks like this. Find out who made the file; if it is honest, unpack it and "
    "deliver what it holds, or raise `inbox.max_inflated_gb`."
)
_MAP = (
    "Write it into `mappings/<source>.toml` (docs/how-to/map-an-export.md), then"
    " `rapport quarantine retry BATCH`."
)
_NOTHING = "Nothing, unless it is new."

_ALL = (
    # --- deliveries
    Reason("bad_share_exceeded", "delivery",
           "more bad rows than are allowed: nothing of it is loaded",
           "Look at the other reasons of the delivery: they have one cause, as a rule. Correct "
           "the export or the mapping, then retry. The share is `inbox.max_bad_share` for a "
           "delivery and `max_bad_share` of the mapping for a file."),
    Reason("delivery_changed", "delivery",
           "a known delivery came with other bytes",
           "What was loaded stays. If the new bytes are right, `rapport quarantine retry BATCH` "
           "reads them in its place; else put the old ones back."),
    Reason("delivery_incomplete", "delivery",
           "a delivery without _SUCCESS",
           "Wait for the sender, or put an empty `_SUCCESS` file in the folder."),
    Reason("manifest_unreadable", "delivery",
           "manifest.json is not readable",
           "Its tables were read as deltas. Correct the manifest, then retry."),
    Reason("source_unmapped", "delivery",
           "no mapping for this source: write mappings/<source>.toml", _MAP),
    # --- files
    Reason("archive_bomb", "file", "it grows to far more than its size", _BOMB),
    Reason("archive_cut_off", "file", "the archive ends before its end", _CUT),
    Reason("archive_duplicate_member", "file", "two members of one name",
           "Nobody can tell which one is meant. Pack it again with one of them."),
    Reason("archive_encrypted", "file", "the archive has a password",
           "Deliver it without: the inbox is as closed as the password would make it."),
    Reason("archive_link", "file", "a member is a link or a device",
           "Pack the files themselves."),
    Reason("archive_too_deep", "file", "an archive in an archive in an archive",
           "Unpack the outer ones."),
    Reason("archive_too_large", "file", "more inflated bytes than the door takes", _BOMB),
    Reason("archive_too_many_members", "file", "more members than any export has", _BOMB),
    Reason("archive_unreadable", "file", "the archive is damaged", _EXPORT_AGAIN),
    Reason("archive_unsafe_name", "file", "a member's name leads out of its folder",
           "No export is packed like this: find out who made the file."),
    Reason("date_order_conflict", "file",
           "dates that contradict the order that the mapping says",
           "Day and month cannot be told apart by row, so nothing is guessed: a required column "
           "refuses the file, another is left empty. Correct `dates` in the mapping, or ask the "
           "vendor for one order, then `rapport quarantine retry BATCH`."),
    Reason("items_incomplete", "file",
           "a form with more or fewer items than the registry has",
           "Correct `items` in the mapping (attention checks go under `leave_out`), or say "
           "`is_partial = true` where the form was shortened."),
    Reason("join_file_missing", "file",
           "the file that its rows are looked up in is not there",
           "Deliver both files together, under a new delivery id."),
    Reason("encoding_unreadable", "file", "not text in one known encoding",
           "It is neither UTF-8, UTF-16 nor Windows-1252 throughout, or not what the mapping "
           "says. Export it as UTF-8."),
    Reason("file_empty", "file", "the file is empty",
           "The export failed. A table without rows still has its header."),
    Reason("file_encrypted", "file", "the file is encrypted", "Deliver it without encryption."),
    Reason("file_is_html", "file", "a web page, not an export",
           "A download behind an expired login gives the login page. Log in and export again."),
    Reason("file_is_old_or_locked_workbook", "file", "an .xls, or a workbook with a password",
           "Save it as .xlsx or CSV, without a password."),
    Reason("file_is_pdf", "file", "a PDF, not an export", "Export the report as CSV or XLSX."),
    Reason("file_unknown", "file", "no mapping knows this file name", _MAP),
    Reason("file_unreadable", "file", "the file is damaged", _EXPORT_AGAIN),
    Reason("format_unexpected", "file", "another format than the mapping says",
           "The first bytes decide, not the name. Correct `format` in the mapping, or the file."),
    Reason("format_unknown", "file", "no format that holds a table",
           "Deliver CSV, XLSX, Parquet or NDJSON, as it is or in a gzip or zip."),
    Reason("header_cut_off", "file", "the header has no line end: the file was cut off", _CUT),
    Reason("header_unrecognised", "file", "fewer than half of the headers are known",
           "The header is missing, or the export has changed: compare it with the mapping. Its "
           "words are not printed: they may be a patient's row."),
    Reason("line_too_long", "file", "a line of more than 16 MB", _EXPORT_AGAIN),
    Reason("json_cut_off", "file", "the end of the JSON was never written", _CUT),
    Reason("json_file_too_deep", "file", "nested deeper than any resource is", _EXPORT_AGAIN),
    Reason("json_too_large", "file", "one JSON value larger than is read at once",
           "Export it as bulk NDJSON, one resource a line."),
    Reason("ndjson_cut_off", "file", "the last line of NDJSON is not whole", _CUT),
    Reason("not_a_file", "file", "not a plain file", "Deliver files: no folders, links or pipes."),
    Reason("nul_byte", "file", "a NUL byte in text", _EXPORT_AGAIN),
    Reason("required_column_missing", "file", "a required column is missing",
           "`column_renamed` among the notices names the column that it may be now. Correct the "
           "mapping or the export, then retry."),
    Reason("too_many_columns", "file", "more than 2,000 columns",
           "The delimiter is probably another: set `delimiter` in the mapping."),
    Reason("workbook_too_large", "file", "the workbook claims more than its reader may take",
           "Save the sheet as CSV, or raise `warehouse.memory_limit`."),
    # --- rows
    Reason("code_unreadable", "row", "not in the shape of a code", _CORRECT),
    Reason("date_unreadable", "row", "not an ISO 8601 date",
           "In a required column the row waits in quarantine; elsewhere the date is left out "
           "and counted. Correct the cell, or say in the mapping how dates are written."),
    Reason("json_duplicate_key", "row", "an object with one key twice", _CORRECT),
    Reason("id_conflict", "row", "one id of several people in one delivery",
           "None of them is kept. Export with ids that are unique, then deliver again."),
    Reason("json_invalid", "row", "a line that is no JSON object", _CORRECT),
    Reason("json_not_a_number", "row", "NaN or Infinity, which are no JSON", _CORRECT),
    Reason("json_too_deep", "row", "an object nested too deeply", _CORRECT),
    Reason("merge_cycle", "row", "the merges lead back to where they began", _CORRECT),
    Reason("merge_to_itself", "row", "a client is merged into itself", _CORRECT),
    Reason("required_value_missing", "row", "required, and empty", _CORRECT),
    Reason("resource_type_missing", "row", "JSON that is no FHIR resource", _CORRECT),
    Reason("row_too_long", "row", "more cells than the header",
           "A delimiter in a cell without quotes, as a rule. Export with quotes."),
    Reason("row_too_short", "row", "fewer cells than the header",
           "A line break in a cell without quotes, as a rule. Export with quotes."),
    Reason("row_unparsable", "row", "a quote is never closed", _CORRECT),
    Reason("timestamp_unreadable", "row", "not an ISO 8601 date and time",
           "In a required column the row waits in quarantine; elsewhere the time is left out "
           "and counted. Correct the cell, or say in the mapping how times are written."),
    Reason("unterminated_last_row", "row", "the last row has no line end: the file was cut off",
           _CUT + " If this export never ends its last line, `allow_unterminated = true` in "
           "the mapping takes it."),
    Reason("value_too_long", "row", "longer than its column allows", _CORRECT),
    # --- notices
    Reason("archive_trailing_bytes", "notice", "bytes behind the end of a gzip",
           "Something was appended: ask the sender."),
    Reason("boolean_unreadable", "notice", "not true or false", _CORRECT),
    Reason("characters_lost_before", "notice", "characters that were lost before it came",
           "The export holds U+FFFD: a program before this one decoded it wrongly."),
    Reason("code_unknown", "notice", "a code outside its list",
           "It counts as unknown. Translate it under `codes` in the mapping."),
    Reason("column_dropped", "notice", "a column that is not wanted", _NOTHING),
    Reason("column_missing", "notice", "a column that the delivery before had",
           "Ask the vendor. Its values are empty from here on."),
    Reason("column_new", "notice", "a column that the mapping has no word for",
           "Map it, or name it under `drop`. It is told by its place."),
    Reason("column_renamed", "notice", "a known column is absent, and this one is near",
           "`status~column_7`: the seventh column is probably `status`. If so, write its header "
           "into the mapping and retry."),
    Reason("column_retyped", "notice", "not one value of the column could be read",
           "The export writes it otherwise now: dates in another order, numbers as words. Say "
           "so in the mapping, then retry."),
    Reason("column_twice", "notice", "a header that stands twice; the first one counts",
           "Check that the first is the one that is meant."),
    Reason("columns_reordered", "notice", "the columns come in another order than before",
           "Nothing: columns are read by name."),
    Reason("duplicate_id", "notice", "an id that the same delivery brings again",
           "The later row counts."),
    Reason("file_ignored", "notice", "a file that the mapping leaves out", _NOTHING),
    Reason("file_joined", "notice", "a file that other files' rows are looked up in",
           "Nothing: its rows are counted as filtered."),
    Reason("join_ambiguous", "notice", "several rows to look up; the last one counts",
           "Add a `filter` to the join, if another one is meant."),
    Reason("purged", "notice", "rows of a person who was erased", "Nothing: they stay out."),
    Reason("row_filtered", "notice", "rows that a rule of the mapping leaves out",
           "Nothing, unless the number is new. `nothing_of_it` and `same_id` are rows of a form "
           "file that hold no form, or more of one that is there."),
    Reason("table_absent", "notice", "a table that the file may hold and does not", "Nothing."),
    Reason("instrument_unknown", "notice", "an instrument outside the registry",
           "It is not scored. Translate its name under `codes` in the mapping."),
    Reason("item_unknown", "notice", "an item outside the registry", "It is not scored."),
    Reason("junk_skipped", "notice", "left there by an operating system", "Nothing."),
    Reason("member_dropped", "notice", "a member of an archive that no mapping knows",
           "Map it, or name it under `ignore`."),
    Reason("number_unreadable", "notice", "not a number", _CORRECT),
    Reason("sheet_dropped", "notice", "a sheet that no mapping knows",
           "Map it by its name, if it is wanted."),
    Reason("sheet_empty", "notice", "a sheet with nothing on it", "Nothing."),
    Reason("sheet_hidden", "notice", "a hidden sheet, not read",
           "Map it by its own name, if it is wanted."),
    Reason("appointment_has_encounter", "notice", "an appointment whose visit is an Encounter",
           "Nothing: the Encounter counts."),
    Reason("class_dropped", "notice", "an Encounter of a class that the mapping drops",
           "Nothing."),
    Reason("class_not_kept", "notice", "an Encounter of a class that the mapping does not keep",
           "Nothing."),
    Reason("deletion_not_kept", "notice", "a DELETE of what has no deleted version",
           "Correct it at the source, or ask for erasure."),
    Reason("insurer", "notice", "an Organization that pays, no clinic",
           "Nothing."),
    Reason("looked_up_only", "notice", "a Questionnaire, which is looked up in",
           "Nothing."),
    Reason("not_an_instrument", "notice", "an answer or value of no form that is known",
           "Add its codes under `fhir.codes` if it is one (docs/reference/fhir.md)."),
    Reason("not_begun", "notice", "an episode or goal that is only planned",
           "Nothing."),
    Reason("not_booked", "notice", "an appointment that is only proposed",
           "Nothing."),
    Reason("not_final", "notice", "a preliminary or unfinished answer",
           "Nothing: it counts once it is final."),
    Reason("part_of_another", "notice", "a resource whose content is in another's row",
           "Nothing."),
    Reason("removed", "notice", "an episode or goal entered in error or cancelled",
           "Nothing."),
    Reason("repeated", "notice", "a resource that the delivery brings again, or an older version",
           "Nothing: the latest version counts."),
    Reason("resource_not_wanted", "notice", "a resource of a type that is not read",
           "Nothing."),
    Reason("type_dropped", "notice", "an Encounter of a type that the mapping drops",
           "Nothing."),
    Reason("type_not_kept", "notice", "an Encounter of a type that the mapping does not keep",
           "Nothing."),
    Reason("zone_unknown", "notice", "not the name of a time zone", _CORRECT),
)  # fmt: skip

REASONS = {reason.code: reason for reason in _ALL}


def meaning_of(code: str) -> str:
    """Return what a code means, in a few words."""
    return REASONS[code].meaning if code in REASONS else code


def rendered_page() -> str:
    """Return the reference page."""
    lines = [
        "# Reason codes",
        "",
        "For the data team: why something waits in quarantine or was counted, and what to do."
        " How to go about it: [fix quarantined rows](../how-to/fix-quarantined-rows.md)."
        " This page is rendered from `src/rapport/ingest/reasons.py`.",
    ]
    for severity, (heading, about) in _HEADINGS.items():
        lines += ["", f"## {heading}", "", about]
        for reason in sorted(_ALL, key=lambda r: r.code):
            if reason.severity == severity:
                meaning = reason.meaning[0].upper() + reason.meaning[1:]
                lines += ["", f"### {reason.code}", "", f"{meaning}. {reason.mend}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(rendered_page(), end="")
