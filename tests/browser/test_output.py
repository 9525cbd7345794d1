"""The pages as files: their bytes, their policy, and what must not stand in them."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from browser.conftest import LAID, PAGES, Shown
from lib.laid_clinics import ODD_NAMES
from lib.laid_snapshots import contracts
from rapport import night

SERVICES = ("empty", *LAID, "verdicts")
every_service = pytest.mark.parametrize("service", SERVICES)
# A key of a person, a therapist, an episode, a session, a form, a signal or a rupture.
KEY = re.compile(r"\b(cl|th|ep|se|ad|si|ru|rp)_[a-z0-9]{20,}|\bcn_")
FORBIDDEN = re.compile(
    r"<(script|link|img|iframe|object|embed|form|base|image|use)\b|@import|url\(|"
    r"xlink:href|\sstyle=|https?:|//[a-z]|javascript:|\r",
    re.IGNORECASE,
)


@every_service
def test_every_page_is_written_whatever_the_service(
    shown: Callable[[str], Shown], service: str
) -> None:
    pages = shown(service).text()
    assert sorted(pages) == sorted(PAGES)
    for name, text in pages.items():
        assert text.startswith("<!DOCTYPE html>\n<html lang="), name
        assert text.count("<h1") == 1, name
        assert text.rstrip().endswith("</html>"), name
        # Words for a reader, not for the machine that wrote them.
        said = re.sub(
            r"<(style|pre|code).*?</\1>|<th scope=\"col\".*?</th>",
            "",
            text,
            flags=re.DOTALL,
        )
        assert not re.search(r"\b(None|nan|NaN|inf|Undefined|True|False)\b", said), name


@every_service
def test_a_page_holds_one_allowed_style_and_nothing_that_runs_or_loads(
    shown: Callable[[str], Shown], service: str
) -> None:
    styles = set()
    for name, text in shown(service).text().items():
        [style] = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
        digest = hashlib.sha256(style.encode()).digest()
        assert (
            f"default-src 'none'; style-src 'sha256-{base64.b64encode(digest).decode()}'; "
            "base-uri 'none'; form-action 'none'" in text
        ), name
        shows = re.sub(r"<title>.*?</title>|<bdi>.*?</bdi>", "", text)
        assert not FORBIDDEN.search(shows), (name, FORBIDDEN.search(shows))
        styles.add(style)
    assert len(styles) == 1


@every_service
def test_no_key_of_anyone_is_on_a_page(
    shown: Callable[[str], Shown], service: str
) -> None:
    for name, text in shown(service).text().items():
        assert not KEY.search(text), name


def test_no_quality_table_has_a_therapist() -> None:
    quality = {name: of for name, of in contracts().items() if name.startswith("qi.")}
    assert len(quality) == 13
    assert not [name for name, columns in quality.items() if "therapist" in columns]


def test_the_same_snapshot_gives_the_same_bytes_on_any_machine(
    shown: Callable[[str], Shown],
) -> None:
    """Once more here, and once by the command under another clock, tongue and seed."""
    plain = shown("plain")
    before = _bytes(plain.folder)
    night.dashboard(plain.settings)
    assert _bytes(plain.folder) == before
    elsewhere = {
        "TZ": "Pacific/Kiritimati",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "4711",
        "PYTHONUTF8": "0",
        "RAPPORT_HOME": str(plain.settings.home),
    }
    subprocess.run(
        [str(Path(sys.executable).with_name("rapport")), "dashboard"],
        env={**os.environ, **elsewhere},
        check=True,
        capture_output=True,
    )
    assert _bytes(plain.folder) == before


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_ten_years_of_twenty_clinics_stay_small(shown: Callable[[str], Shown]) -> None:
    sizes = {p.stem: p.stat().st_size for p in shown("long").folder.iterdir()}
    assert set(sizes) == set(PAGES)
    assert {name: size for name, size in sizes.items() if size > 1_000_000} == {}
    assert sum(sizes.values()) <= 8_000_000


def test_the_only_time_of_day_is_that_of_the_run(shown: Callable[[str], Shown]) -> None:
    for name, text in shown("plain").text().items():
        body = text.split("</style>")[1]
        times = set(re.findall(r"\b(?:[01]\d|2[0-3]):[0-5]\d\b", body))
        assert times == {"06:00"}, name


def test_names_with_markup_are_words_and_stay_in_their_direction(
    shown: Callable[[str], Shown],
) -> None:
    pages = shown("odd").text()
    naming = [name for name, text in pages.items() if "&lt;script&gt;alert" in text]
    assert len(naming) >= 2, naming
    for name, text in pages.items():
        assert "<script" not in text, name
        assert "<b>tablets" not in text, name
        for clinic in (ODD_NAMES[0], ODD_NAMES[3]):
            for found in re.finditer(re.escape(clinic), text):
                around = text[found.start() - 6 : found.end() + 6]
                assert "<bdi>" in around or "\u2068" in around, (name, around)


def test_a_refused_night_is_told_on_every_page(shown: Callable[[str], Shown]) -> None:
    for name, text in shown("odd").text().items():
        assert "refused" in text, name
        assert "2026-06-30" in text, name


def test_no_table_of_clinics_is_in_the_order_of_a_value(
    shown: Callable[[str], Shown],
) -> None:
    text = shown("forty").text()["clinics"]
    tables = re.findall(r"<tbody>(.*?)</tbody>", text, flags=re.DOTALL)
    of_clinics = 0
    for table in tables:
        heads = re.findall(r'<th scope="row">(.*?)</th>', table, flags=re.DOTALL)
        names = [re.sub(r"<.*?>", "", head).strip() for head in heads]
        if "Clinic 07" in names:
            named = [name for name in names if name.startswith("Clinic ")]
            assert named == sorted(named)
            of_clinics += 1
    assert of_clinics >= 5
    assert not re.search(r"\b(rank|best|worst|league)\b", text, re.IGNORECASE)
