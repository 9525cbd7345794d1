"""What waits for a person is said each morning, whichever part it waits in."""

from pathlib import Path

from rapport.extracts.ledger import ledger_path, record
from rapport.night import notice_of
from rapport.report import status_of
from rapport.settings import load_settings


def test_an_extract_that_waits_for_approval_needs_a_person(tmp_path: Path) -> None:
    settings = load_settings({"RAPPORT_HOME": str(tmp_path)})
    assert not status_of(settings)["needs_person"]
    record(tmp_path, "requested", "x_1", actor="Ada", digest="0" * 64)
    record(tmp_path, "built", "x_1", actor="Ada", digest="0" * 64)
    found = status_of(settings)
    assert found["extracts"] == {
        "waiting": ["x_1"],
        "notices": [],
        "ended_studies": [],
    }
    assert found["needs_person"]
    record(tmp_path, "refused", "x_1", actor="Ben", digest="0" * 64, reason="few")
    assert not status_of(settings)["needs_person"]


def test_a_broken_release_ledger_is_said_and_stops_no_night(tmp_path: Path) -> None:
    settings = load_settings({"RAPPORT_HOME": str(tmp_path)})
    record(tmp_path, "requested", "x_1", actor="Ada", digest="0" * 64)
    path = ledger_path(tmp_path)
    path.write_text(path.read_text().replace("Ada", "Eve"))
    assert status_of(settings)["needs_person"]
    assert notice_of(settings) == [
        "The release ledger is not whole: rapport extract list says where."
    ]
