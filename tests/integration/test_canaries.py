"""A whole night over planted strings: none of them comes out anywhere (privacy.md B2).

Every delivery of one home carries a unique string in each field that could name a person.
Each failure path that a night has is forced once, then everything that rapport wrote or
said is searched.
"""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from conftest import Home
from lib.canaries import Hit, Scan, search_bytes, search_folder
from rapport.state import ControlState

AS_OF = "2026-06-30"
# Where a canary may lie: in what was delivered and in what was refused.
_DOOR = ("inbox/", "quarantine/")
_BELOW, _TABLES = ("bronze/", "warehouse/"), (".parquet", ".duckdb", ".wal")
_MOMENTS = (
    "after the bad cast",
    "after the refused night",
    "after the kill",
    "after the good night",
)


class Canaries(dict[str, str]):
    """Planted strings by name; each is made when it is first planted."""

    def __init__(self) -> None:
        super().__init__()
        self.in_vault: set[str] = set()
        self.below_door: set[str] = set()

    def plant(self, name: str, said: str | None = None) -> str:
        """Return a string of its own: letters and digits, as an id may be."""
        assert name not in self
        self[name] = said or f"Zq{len(self):03d}{name.replace('_', '')}Kestrel"
        return self[name]

    def kept(self, name: str) -> str:
        """Plant what the vault remembers: an id, a file's name, a code's spelling."""
        self.in_vault.add(name)
        return self.plant(name)

    def messy(self, name: str) -> str:
        """Plant a string within letters and marks that encodings write differently."""
        return f'Zoë "{self.plant(name)}" O’Neill/Łuc'


def csv_of(*rows: Iterable[str]) -> str:
    """Return comma-separated text, each cell quoted."""
    return "".join(
        ",".join('"' + str(c).replace('"', '""') + '"' for c in row) + "\n"
        for row in rows
    )


def clinic(plant: Canaries) -> dict[str, str | bytes]:
    """Return a delivery that loads: three clients whose alliance drops and comes back."""
    clients = [plant.kept(f"client_id_{n}") for n in range(3)]
    therapist = plant.kept("therapist_id")
    day = date(2026, 2, 2)
    sessions, measures, items = [], [], []
    for n, client in enumerate(clients):
        for week in range(14):
            when = f"{day + timedelta(days=7 * week + n)}T10:00"
            key = f"{n}-{week}"
            sessions.append((f"S{key}", client, therapist, "C1", when, "attended"))
            measures.append(
                (f"A{key}", client, therapist, f"S{key}", "WAI-SR", "client", when)
            )
            score = 2 if 6 <= week < 9 else 4 + (week + n) % 2
            items += [(f"A{key}", str(item), str(score)) for item in range(1, 13)]
    return {
        "clinics.csv": csv_of(
            ("clinic_id", "name", "state", "timezone"),
            ("C1", "Harbour Clinic", "NY", "America/New_York"),
        ),
        "therapists.csv": csv_of(
            ("therapist_id", "therapist_name", "clinic_id", "discipline", "licensed_on"),
            (therapist, plant.messy("therapist_name"), "C1", plant.kept("code_discipline"),
             plant.plant("optional_date")),
        ),
        "clients.csv": csv_of(
            ("client_id", "birth_date", "postal_code", "sex", "state", "full_name", "email",
             plant.plant("header")),
            *(
                (client, plant.plant(f"birth_date_{n}", f"196{n}-03-17"),
                 plant.plant(f"postal_code_{n}", f"60614-739{n}"), plant.kept(f"code_sex_{n}"),
                 "IL", plant.messy(f"full_name_{n}"), plant.plant(f"email_{n}") + "@x.example",
                 plant.messy(f"extra_{n}"))
                for n, client in enumerate(clients)
            ),
        ),
        "sessions.csv": csv_of(
            ("session_id", "client_id", "therapist_id", "clinic_id", "started_at", "status",
             "service_code", "notes", "timezone", "ended_at"),
            *((*row, plant.plant("service_code") if n == 0 else "90834",
               plant.messy(f"note_{n}") if n < 2 else "",
               plant.plant("timezone") if n == 0 else "",
               plant.plant("optional_timestamp") if n == 0 else "")
              for n, row in enumerate(sessions)),
        ),
        "measures.csv": csv_of(
            ("administration_id", "client_id", "therapist_id", "session_id", "instrument",
             "rater", "administered_at", "version", "total_reported"),
            *((*row, "", "") for row in measures),
            ("AX", clients[0], therapist, "", plant.kept("code_instrument"), "client",
             "2026-03-01", plant.plant("version"), plant.plant("number")),
        ),
        "measure_items.csv": csv_of(
            ("administration_id", "item", "value"),
            *items,
            ("AX", "1", plant.plant("item_value")),
            ("AX", plant.kept("code_item"), "3"),
        ),
        "manifest.json": json.dumps(
            {
                "received_at": "2026-06-30T02:00:00Z",
                plant.plant("manifest_key"): plant.messy("manifest_value"),
                "tables": {plant.plant("manifest_table"): {"mode": plant.plant("manifest_mode")}},
            }
        ),
    }  # fmt: skip


def bad_rows(plant: Canaries) -> dict[str, str | bytes]:
    """Return a delivery whose rows are bad, each for a reason of its own."""
    n_long = {"value": 70, "id": 140}
    client = plant.kept("client_id_of_bad_rows")
    return {
        "sessions.csv": csv_of(
            ("session_id", "client_id", "therapist_id", "started_at", "status"),
            ("B1", client, plant.kept("therapist_id_of_bad_row"), "2026-03-02T10:00", "attended"),
            ("B2", client, "T1", plant.messy("timestamp"), "attended"),
            ("B3", client, "T1", "2026-03-02T10:00", plant.plant("long_code") + "x" * n_long["value"]),
            ("B4", plant.plant("long_client_id") + "x" * n_long["id"], "T1", "2026-03-02T10:00", "attended"),
            (plant.plant("session_id"), "", "T1", "2026-03-02T10:00", "attended"),
            ("B6", client, plant.plant("long_therapist_id") + "x" * n_long["id"], "2026-03-02T10:00", "attended"),
        ) + f'"B7","{plant.plant("too_many_cells")}","T1","2026-03-02T10:00","attended","a","b"\n'
        + f'"B8","{client}","T1","2026-03-02T10:00","{plant.plant("unclosed_quote")}\n',
        "diagnoses.csv": csv_of(
            ("client_id", "code", "recorded_on"),
            (client, plant.kept("code_diagnosis"), "2026-03-02"),
            (client, "F43.10", plant.plant("date")),
        ),
        "clients.csv": csv_of(
            ("client_id", "birth_date", "postal_code"),
            ("K1", plant.messy("birth_text"), plant.plant("postal_text")),
            ("K2", "1970-01-01", plant.plant("postal_long") + "9" * n_long["value"]),
        ),
    }  # fmt: skip


def headerless(plant: Canaries) -> dict[str, str | bytes]:
    """Return a file without a header: its first row is a patient's."""
    rows = (
        (plant.plant("headerless_id"), plant.messy("headerless_name"), plant.plant("headerless_note")),
        ("P2", "Jane Roe", "text"),
    )  # fmt: skip
    return {
        "clients.csv": csv_of(*rows),
        "manifest.json": "{" + plant.plant("manifest_broken"),
    }


def unknown_file(plant: Canaries) -> dict[str, str | bytes]:
    """Return files that no mapping knows, named after a person."""
    return {
        f"{plant.kept('file_name')}_intake.csv": csv_of(("a",), (plant.plant("unknown_cell"),)),
        f"{plant.kept('file_name_of_pdf')}.pdf": b"%PDF-1.7 " + plant.plant("pdf").encode(),
    }  # fmt: skip


def workbook(plant: Canaries) -> bytes:
    """Return a workbook with one sheet that is read and two that are not."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "clients"
    # A typed date is a number in the workbook; it stands there as text too.
    born = plant.plant("xlsx_birth_date", "1971-09-23")
    sheet.append(["client_id", "birth_date", "full_name", plant.plant("xlsx_header")])
    sheet.append(
        [
            plant.kept("xlsx_client_id"),
            date(1971, 9, 23),
            plant.messy("xlsx_name"),
            born,
        ]
    )
    sheet.append([plant.plant("xlsx_long_id") + "x" * 140, "1970-01-01", "", ""])
    sheet["B2"].comment = openpyxl.comments.Comment(
        plant.plant("xlsx_comment"), "A. Author"
    )
    other = book.create_sheet(plant.kept("sheet_name"))
    other.append([plant.plant("sheet_cell")])
    hidden = book.create_sheet(plant.kept("hidden_sheet_name"))
    hidden.sheet_state = "hidden"
    hidden.append([plant.plant("hidden_sheet_cell")])
    book.properties.creator = plant.plant("xlsx_creator")
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def archive(plant: Canaries) -> bytes:
    """Return a zip with a table, a member that is none, and one that cannot be read."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.comment = plant.plant("zip_comment").encode()
        packed.writestr(
            "episodes.csv",
            csv_of(
                ("episode_id", "client_id", "opened_on", "closure_reason"),
                (plant.plant("zip_episode_id"), plant.kept("zip_client_id"), "2026-02-01",
                 plant.kept("code_closure")),
                ("E2", "P9", plant.plant("zip_date"), ""),
            ),
        )  # fmt: skip
        packed.writestr(f"{plant.kept('member_name')}.txt", plant.plant("member_text"))
    return out.getvalue()


def ndjson(plant: Canaries) -> str:
    """Return lines of which two load, one is no JSON and one is no object."""
    lines = [
        {"client_id": plant.kept("ndjson_client_id"), "code": "F43.10", "recorded_on": "2026-03-02",
         "status": "active", plant.plant("ndjson_key"): {"deep": plant.messy("ndjson_nested")}},
        {"client_id": "N2", "code": "F43.10", "recorded_on": plant.plant("ndjson_date")},
        {"client_id": {plant.plant("ndjson_id_key"): 1}, "code": "F43.10", "recorded_on": "2026-03-02"},
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return text + '{"client_id": "' + plant.plant("ndjson_broken") + '\n["no object"]\n'


def fhir(plant: Canaries) -> dict[str, str | bytes]:
    """Return a small bundle: what names a person stands where FHIR puts it."""
    patient = plant.kept("fhir_patient_id")
    person: dict[str, Any] = {
        "resourceType": "Patient",
        "id": patient,
        "birthDate": plant.plant("fhir_birth_date", "1958-11-23"),
        "name": [{"family": plant.messy("fhir_family"), "given": [plant.plant("fhir_given")]}],
        "telecom": [{"system": "phone", "value": plant.plant("fhir_phone")}],
        "identifier": [{"system": "urn:mrn", "value": plant.plant("fhir_identifier")}],
        "address": [{"line": [plant.plant("fhir_street")], "state": "NY",
                     "postalCode": plant.plant("fhir_postal_code", "10027-5518")}],
        "gender": plant.kept("fhir_gender"),
        "text": {"status": "generated", "div": f"<div>{plant.plant('fhir_narrative')}</div>"},
        "extension": [{"url": plant.plant("fhir_extension_url"), "valueString": plant.plant("fhir_extension")}],
    }  # fmt: skip
    visit: dict[str, Any] = {
        "resourceType": "Encounter",
        "id": plant.plant("fhir_encounter_id"),
        "status": "finished",
        "class": {"code": "AMB", "display": plant.plant("fhir_display")},
        "subject": {"reference": f"Patient/{patient}", "display": plant.plant("fhir_subject")},
        "participant": [{"individual": {"reference": f"Practitioner/{plant.kept('fhir_practitioner')}"}}],
        "reasonCode": [{"text": plant.plant("fhir_reason")}],
        "period": {"start": "2026-03-02T10:00:00-05:00", "end": "2026-03-02T10:50:00-05:00"},
    }  # fmt: skip
    bad_visit = visit | {"id": "e2", "period": {"start": plant.plant("fhir_timestamp")}}
    form: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "44261-6"}],
                 "text": plant.plant("fhir_code_text")},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2026-03-02T10:00:00-05:00",
        "valueString": plant.plant("fhir_value"),
        "note": [{"text": plant.messy("fhir_note")}],
    }  # fmt: skip
    unknown = {
        "resourceType": plant.plant("fhir_type"),
        "id": plant.plant("fhir_unknown_id"),
    }
    said = [person, visit, bad_visit, form, unknown]
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": r} for r in said],
    }
    broken = '{"resourceType": "Patient", "id": "' + plant.plant("fhir_broken") + "\n"
    return {
        f"{plant.kept('fhir_file_name')}.json": json.dumps(bundle, ensure_ascii=True),
        "Patient.ndjson": json.dumps({"resourceType": "Patient", "id": "f2"}) + "\n" + broken,
    }  # fmt: skip


class CanaryNight:
    """One home, what was planted in it, and all that its commands said."""

    def __init__(self, home: Home) -> None:
        self.home, self.plant = home, Canaries()
        self.said: list[tuple[str, bytes]] = []
        self.scans: dict[str, Scan] = {}

    def run(
        self, *arguments: str, check: int | None = None
    ) -> subprocess.CompletedProcess:
        """Run a command and keep what it said; its exit code must be the one expected."""
        done = self.home.run(*arguments, check=None)
        said = done.stdout.encode() + b"\n" + done.stderr.encode()
        self.said.append((" ".join(arguments[:2]), said))
        assert check is None or done.returncode == check, (
            arguments[:2],
            done.returncode,
        )
        return done

    def deliver(self) -> None:
        plant, home = self.plant, self.home
        home.deliver(f"d1-{plant.kept('delivery_name')}", clinic(plant))
        home.deliver("d2-bad-rows", bad_rows(plant))
        home.deliver("d3-no-header", headerless(plant))
        unknown = home.deliver("d4-unknown", unknown_file(plant), is_complete=False)
        (unknown / plant.kept("folder_name")).mkdir()
        inner = unknown / plant["folder_name"] / f"{plant.plant('inner_file_name')}.csv"
        inner.write_text(csv_of(("client_id",), (plant.plant("inner_cell"),)))
        (unknown / "_SUCCESS").touch()
        home.deliver("d5-workbook", {"clients.xlsx": workbook(plant)})
        home.deliver("d6-zip", {f"{plant.kept('zip_name')}.zip": archive(plant)})
        home.deliver("d7-lines", {"diagnoses.ndjson": ndjson(plant)})
        home.deliver("d1", fhir(plant), source="fhir_r4")
        home.deliver(
            "d1", {"clients.csv": plant.plant("unmapped_source")}, source="nobody"
        )

    def look_before(self) -> None:
        """Try mappings on files that hold canaries; none is a row of the night."""
        inbox = self.home.path / "inbox" / "canonical"
        for file in ("d2-bad-rows/sessions.csv", "d3-no-header/clients.csv",
                     "d5-workbook/clients.xlsx", "d7-lines/diagnoses.ndjson"):  # fmt: skip
            self.run("mapping", "check", "canonical", str(inbox / file), check=4)
        self.run("mapping", "check", "canonical", "--json", check=None)
        self.run(
            "mapping", "infer", str(inbox / "d3-no-header" / "clients.csv"), check=2
        )
        self.run(
            "mapping", "infer", str(inbox / "d2-bad-rows" / "sessions.csv"), check=0
        )

    def quarantine(self) -> None:
        self.run("ingest", check=4)
        self.run("quarantine", "list", check=0)
        listed = json.loads(self.run("quarantine", "list", "--json", check=0).stdout)
        assert len(listed) >= 8
        for entry in listed:
            self.run("quarantine", "show", entry["batch_id"], check=0)
        self.run("quarantine", "show", listed[0]["batch_id"], "--values", check=2)
        self.run("quarantine", "retry", listed[0]["batch_id"], check=4)

    def bad_cast(self) -> None:
        """Build from a text where a model's contract has a number: the engine quotes it.

        Airflow runs the tasks: its own log and metadata lie in the home that is searched.
        """
        with self._below_the_door("birth_year"):
            done = subprocess.run(
                [sys.executable, "-m", "rapport.airflow_night"],
                env={**os.environ, "RAPPORT_HOME": str(self.home.path)},
                capture_output=True, check=False,
            )  # fmt: skip
            self.said.append(("airflow_night", done.stdout + b"\n" + done.stderr))
            self.scan("after the bad cast")
        assert done.returncode == 1, done.stderr
        log = (self.home.path / "logs" / "airflow.log").read_text("utf-8")
        assert "dim_client" in log and "Traceback" in log

    def refused_night(self) -> None:
        """Let a critical check fail on rows that hold canaries."""
        with self._below_the_door("client_key", "sex", "sex_raw", "zip3"):
            self.run("night", "--as-of", AS_OF, check=3)
            self.run("status", check=4)
            self.run("status", "--json", check=4)
            self.run("validate", "--explain", "bronze_clients_keys_are_keyed", check=0)
            self.scan("after the refused night")

    @contextmanager
    def _below_the_door(self, *columns: str) -> Iterator[None]:
        """Put a canary into columns of bronze, where the door lets none, for a while."""
        (file,) = (self.home.path / "bronze/canonical/clients").glob(
            f"{self._batch()}*"
        )
        good = file.read_bytes()
        planted = {column: self.plant.plant(f"below_{column}") for column in columns}
        self.plant.below_door |= {f"below_{column}" for column in columns}
        said = ", ".join(f"'{value}' as {column}" for column, value in planted.items())
        with duckdb.connect() as con:
            con.execute(f"create table rows as select * replace ({said}) from '{file}'")
            con.execute(f"copy rows to '{file}' (format parquet)")
        self._forget_bytes()
        yield
        file.write_bytes(good)
        self._forget_bytes()

    def _forget_bytes(self) -> None:
        """Let the ledger take bronze for its own: whoever writes there may write here."""
        with ControlState(self.home.path)._transaction() as con:
            con.execute("update bronze_file set digest = null")

    def scan(self, moment: str) -> None:
        self.scans[moment] = search_folder(self.home.path, self.plant)

    def _batch(self) -> str:
        from lib.small_nights import settings_of
        from rapport.night import open_keys

        delivery = f"d1-{self.plant['delivery_name']}"
        return open_keys(settings_of(self.home)).batch_id("canonical", delivery)

    def kill_mid_build(self) -> None:
        """Kill a night, its children too, once the models are being built."""
        candidate = self.home.path / "warehouse" / "candidate.duckdb"
        before = candidate.stat().st_ctime_ns
        night = subprocess.Popen(
            [str(Path(sys.executable).with_name("rapport")), "night", "--as-of", AS_OF],
            env={**os.environ, "RAPPORT_HOME": str(self.home.path)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        pause = threading.Event()
        while night.poll() is None and not _is_new(candidate, before):
            pause.wait(0.05)
        assert night.poll() is None, "the night ended before it could be killed"
        os.killpg(night.pid, signal.SIGKILL)
        self.said.append(("killed night", night.communicate()[0]))
        self.scan("after the kill")

    def good_night(self) -> None:
        done = self.run("night", "--as-of", AS_OF)
        assert done.returncode in (0, 4)
        assert (self.home.path / "published" / "rapport.duckdb").exists()
        self.run("status")
        self.run("doctor")
        self.run(
            "sql", "select cast(client_key as integer) from core.dim_client", check=2
        )
        self.run("sql", "--format", "csv", "from core.dim_client", check=0)
        self.run("sql", "--format", "json", "from core.fct_session", check=0)
        self.run("explain", "ep_unknown", check=2)
        key = self.run("sql", "--format", "csv", "select episode_key from core.fct_episode"
                       " order by n_attended desc limit 1", check=0)  # fmt: skip
        self.run("explain", key.stdout.splitlines()[1], check=0)
        self.scan("after the good night")


def _is_new(path: Path, changed_at: int) -> bool:
    try:
        return path.stat().st_ctime_ns != changed_at
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def night(new_home: Callable[[str], Home]) -> CanaryNight:
    night = CanaryNight(new_home("canaries"))
    night.deliver()
    night.look_before()
    night.quarantine()
    night.bad_cast()
    night.refused_night()
    night.kill_mid_build()
    night.good_night()
    return night


def is_allowed(night: CanaryNight, hit: Hit, moment: str) -> bool:
    """Tell whether a canary may stand where it was found."""
    if hit.path.startswith(_DOOR) or hit.path in ("inbox", "quarantine"):
        return True
    if hit.path.startswith("vault/") and hit.canary in night.plant.in_vault:
        return True
    # What was planted below the door lies where it was planted and in what is built of it.
    is_planted = (
        hit.canary in night.plant.below_door and moment != "after the good night"
    )
    return is_planted and hit.path.startswith(_BELOW) and hit.path.endswith(_TABLES)


@pytest.mark.parametrize("moment", _MOMENTS)
def test_no_file_holds_a_canary(night: CanaryNight, moment: str) -> None:
    scan = night.scans[moment]
    leaks = sorted(
        {
            (h.canary, h.path, h.part)
            for h in scan.hits
            if not is_allowed(night, h, moment)
        }
    )
    assert leaks == []
    # A file that a kill cut off is no table yet; no other may stay unread.
    assert [p for p in scan.undecoded if not p.startswith(_DOOR)] == []


def test_no_command_says_a_canary(night: CanaryNight) -> None:
    leaks = {
        (hit.canary, where)
        for where, said in night.said
        for hit in search_bytes(said, night.plant, where)
    }
    assert sorted(leaks) == []
    assert len(night.said) > 25


def test_every_canary_was_planted_and_the_search_saw_it(night: CanaryNight) -> None:
    """So no hit means no leak: each is found in the inbox, and those of the vault there."""
    scan = night.scans["after the good night"]
    seen = {hit.canary for hit in scan.hits if hit.path.startswith("inbox/")}
    assert set(night.plant) - seen - night.plant.below_door == set()
    remembered = {hit.canary for hit in scan.hits if hit.path.startswith("vault/")}
    assert night.plant.in_vault - remembered == set()
    refused = {hit.canary for hit in scan.hits if hit.path.startswith("quarantine/")}
    assert {"timestamp", "long_code", "long_client_id", "headerless_name"} <= refused
    refusal = night.scans["after the refused night"]
    failing = {h.canary for h in refusal.hits if h.path.startswith("warehouse/")}
    assert failing == night.plant.below_door - {"below_birth_year"}
    assert len(night.plant) > 90


def test_the_search_read_every_store(night: CanaryNight) -> None:
    scan = night.scans["after the good night"]
    parts = {part for said in scan.decoded.values() for part in said}
    assert {"read_parquet", "core.dim_client", "ops.row_ledger", "person"} <= parts
    for folder in ("bronze", "published", "state", "vault", "warehouse"):
        assert any(path.startswith(f"{folder}/") for path in scan.decoded), folder
    assert scan.n_files > 40 and scan.n_rows > 1000
