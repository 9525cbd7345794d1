"""The mapping files themselves: what is refused, how it is said, and what extends does."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from conftest import ROOT, Home
from lib.doors import Doorway
from rapport.errors import MappingError, UsageError
from rapport.ingest.translate import CodeLists
from rapport.mapping import preset_names
from rapport.mapping.infer import propose_mapping
from rapport.mapping.schema import rendered_schema
from rapport.mapping.source import preset_text, read_mapping

CODES = CodeLists(ROOT / "dbt_project" / "seeds").spellings
CANARY = "ZZCANARYZZ"
HEAD = '[[file]]\nmatch = "a.csv"\ntable = "sessions"\n'


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_says_what_it_is_built_from(name: str) -> None:
    text = preset_text(name)
    mapping = read_mapping(text, f"{name}.toml", CODES)
    assert mapping.file or mapping.fhir
    assert text.startswith("# ")
    if name in ("simplepractice", "therapynotes", "epic_clarity"):
        assert "UNVERIFIED" in text


def test_the_presets_are_those_of_the_interface() -> None:
    assert set(preset_names()) >= {
        "canonical", "simplepractice", "therapynotes", "epic_clarity", "pmhc_mds",
        "synthea_csv", "omop_cdm", "redcap", "fhir_r4", "wide_measures",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[[file]]\nmatch = "a.csv"\ntable = "visits"\n', 1, "one of client_links"),
        (HEAD + 'columns = { session = "x" }\n', 4, "sessions has no such column; one of"),
        (HEAD + 'colums = { session_id = "x" }\n', 4, "no such key; one of"),
        (HEAD + "\n[file.dates]\nstarted_at = 'american'\n", 6, "'mdy'"),
        (HEAD + "\n[file.dates]\nstatus = 'mdy'\n", 6, "holds no date"),
        (HEAD + "[file.codes.status]\n\"Show\" = 'came'\n", 5, "one of attended"),
        (HEAD + "[file.constants]\nstatus = 'came'\n", 5, "one of attended"),
        (HEAD + '[[file.filter]]\nname = "x"\ncolumn = "c"\n', 4, "keep or drop"),
        (HEAD + HEAD + 'compose = { id = ["a"] }\n', 7, "sessions has no such column"),
        (HEAD + 'columns = { status = "Client Name" }\n', 4, "not wanted"),
        (HEAD + 'columns = { status = "SSN" }\n', 4, "not wanted"),
        (HEAD + 'compose = { client_id = ["first_name", "dob"] }\n', 4, "not wanted"),
        (HEAD + 'columns = { status = "x|Progress Notes" }\n', 4, "not wanted"),
        ('extends = "epic"\n', 1, "one of canonical"),
        ('timezone = "Mars/Base"\n', 1, "IANA"),
        (HEAD + 'drop = ["*"]\n', 4, "would hide a lost header"),
        (
            HEAD + 'columns = { session_id = "a" }\ncompose = { session_id = ["b"] }\n',
            5,
            "made in two ways",
        ),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_named_with_file_line_and_choices(
    text: str, line: int, words: str
) -> None:
    with pytest.raises(MappingError) as caught:
        read_mapping(text, "north.toml", CODES)
    said = caught.value.message
    assert words in said
    lines = [int(n) for n in re.findall(r"north.toml, line (\d+)", said)]
    assert lines
    assert abs(lines[0] - line) <= 1, said


def test_all_problems_of_a_file_come_together() -> None:
    with pytest.raises(MappingError) as caught:
        read_mapping(
            HEAD + "decimal = ';'\n" + HEAD + "header_rows = 0\n", "north.toml", CODES
        )
    assert caught.value.message.count("north.toml, line") == 2


def test_extends_changes_an_entry_key_by_key_and_leaves_the_others(
    tmp_path: Path,
) -> None:
    mapping = read_mapping(
        'extends = "omop_cdm"\n[[file]]\nmatch = "visit_occurrence.*"\ntable = "sessions"\n'
        "constants = { therapist_id = 'none' }\nfilter = []\n",
        "north.toml",
        CODES,
    )
    (visits,) = mapping.of_file("visit_occurrence.csv")
    assert visits.filter == ()
    assert visits.constants == {"status": "attended", "therapist_id": "none"}
    assert "therapist_id" not in visits.columns
    assert visits.columns["started_at"] == "visit_start_datetime|visit_start_date"
    assert [join.name for join in visits.join] == ["person"]
    assert [part.table for part in mapping.of_file("person.csv")] == ["clients"]


def test_an_own_entry_goes_before_the_preset_s(tmp_path: Path) -> None:
    mapping = read_mapping(
        'extends = "canonical"\n[[file]]\nmatch = "sess*"\ntable = "sessions"\nfold = true\n',
        "north.toml",
    )
    (part,) = mapping.of_file("sessions.csv")
    assert part.fold


def test_a_mapping_says_what_is_a_snapshot_where_no_manifest_does(
    tmp_path: Path,
) -> None:
    from rapport.state import ControlState

    door = Doorway(tmp_path / "home")
    door.map(
        "north",
        'extends = "canonical"\n[[file]]\nmatch = "clients.*"\ntable = "clients"\nmode = "snapshot"\n',
    )
    door.take(
        "north", {"clients.csv": "client_id\nA\n", "clinics.csv": "clinic_id\nC\n"}
    )
    modes = {row[2]: row[3] for row in ControlState(door.home).delivery_tables()}
    assert modes == {"clients": "snapshot", "clinics": "delta"}


def test_the_published_schema_is_not_stale() -> None:
    kept = ROOT / "docs" / "reference" / "mapping.schema.json"
    assert kept.read_text("utf-8") == rendered_schema()


@pytest.mark.parametrize("name", preset_names())
def test_the_schema_takes_every_preset(name: str) -> None:
    import tomllib

    from jsonschema import Draft202012Validator

    schema = json.loads(rendered_schema())
    Draft202012Validator.check_schema(schema)
    wrong = list(
        Draft202012Validator(schema).iter_errors(tomllib.loads(preset_text(name)))
    )
    assert wrong == []


# --- infer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        (("03/04/2024", "03/25/2024"), 'started_at = "mdy"'),
        (("03.04.2024", "25.03.2024"), 'started_at = "dmy"'),
        (("03/04/2024", "04/05/2024"), "mdy or dmy"),
        (("25/04/2024", "04/25/2024"), "two orders"),
        (("5032024", "25032024"), 'started_at = "ddmmyyyy"'),
        (("45356", "45357"), 'started_at = "excel_serial"'),
    ],
)
def test_the_order_of_dates_is_proposed_by_what_the_column_proves(
    tmp_path: Path, dates: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "sessions.csv"
    rows = "".join(f"S{n},A,T,{d}\n" for n, d in enumerate(dates))
    file.write_text("Session ID,Client ID,Therapist,Session Date\n" + rows)
    text = propose_mapping(file)
    assert said in text
    read_mapping(text, "north.toml", CODES)


def test_infer_shows_no_cell_and_proposes_identity_as_drops(tmp_path: Path) -> None:
    file = tmp_path / f"{CANARY}.csv"
    file.write_text(
        "Appt ID,Client ID,Client Name,Home Phone,Progress Notes,Start,Status,"
        f"{CANARY}@x.org,phq9_1\n"
        + f"{CANARY},{CANARY},{CANARY},{CANARY},{CANARY},2024-01-01,{CANARY},1,2\n"
        * 3
    )
    text = propose_mapping(file)
    assert CANARY not in text
    drop = next(line for line in text.splitlines() if line.startswith("drop"))
    assert all(name in drop for name in ("Client Name", "Home Phone", "Progress Notes"))
    assert "column 8: not shown" in text


def test_infer_takes_no_persons_row_for_a_header(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"{CANARY},1980-01-01,100,Jane\nB,1990-01-01,101,Joe\n")
    with pytest.raises(UsageError) as caught:
        propose_mapping(file)
    assert CANARY not in caught.value.message


def test_infer_knows_forms_by_the_registry(tmp_path: Path) -> None:
    file = tmp_path / "survey.csv"
    heads = ",".join(f"WAI-SR Q{n}" for n in range(1, 13))
    file.write_text(
        f"Patient ID;Date;{heads.replace(',', ';')}\nA;1.2.2024;{';'.join('3' * 12)}\n"
    )
    text = propose_mapping(file)
    assert 'items = "WAI-SR Q{item}"' in text
    assert 'delimiter = ";"' in text
    assert "the client's or the therapist's" in text
    read_mapping(text, "north.toml", CODES)


def test_infer_finds_sessions_and_their_forms_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "visits.csv"
    file.write_text(
        "VisitID;PatientNumber;Behandler;Datum;Beginn;Dauer (Min);ORS 1;ORS 2;ORS 3;ORS 4\n"
        "V1;0012;P1;13.05.2024;09:00;50;4,5;6,0;7,1;5,5\n"
    )
    text = propose_mapping(file)
    mapping = read_mapping(text, "north.toml", CODES)
    assert [e.table for e in mapping.file] == ["sessions", "measures"]
    assert mapping.file[0].minutes == {"ended_at": "Dauer (Min)"}
    assert mapping.file[1].decimal == ","
    assert mapping.file[1].questionnaire[0].times == 10
    door = Doorway(tmp_path / "home")
    door.map("north", text)
    door.take("north", {"visits.csv": file.read_bytes()})
    assert sorted(row["value"] for row in door.rows("measure_items")) == [
        45,
        55,
        60,
        71,
    ]
    (session,) = door.rows("sessions")
    (form,) = door.rows("measures")
    assert form["session_key"] == session["session_key"]


# --- the commands, as the how-to has them -----------------------------------------------

NORTH = ROOT / "tests" / "fixtures" / "unknown_vendor" / "north.csv"


def commands_of_the_how_to() -> list[list[str]]:
    text = (ROOT / "docs" / "how-to" / "map-an-export.md").read_text("utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_how_to_leads_from_an_unknown_csv_to_loaded_rows(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(NORTH, tmp_path / "north.csv")
    commands = commands_of_the_how_to()
    verbs = [command[1:3] for command in commands]
    assert verbs == [
        ["mapping", "list"],
        ["mapping", "infer"],
        ["mapping", "check"],
        ["ingest"],
    ]
    own = home.path / "mappings" / "north.toml"
    said = []
    for command in commands:
        arguments = [
            str(own) if a == "data/mappings/north.toml" else a for a in command[1:]
        ]
        if arguments == ["ingest"]:
            folder = home.path / "inbox" / "north" / "d1"
            folder.mkdir(parents=True)
            shutil.copyfile("north.csv", folder / "north.csv")
            (folder / "_SUCCESS").touch()
        done = home.run(*arguments)
        said.append(done.stdout + done.stderr)
        if arguments[1:2] == ["infer"]:
            # What a person corrects: the marked lines, and nothing else.
            text = own.read_text("utf-8")
            assert text.count("# unsure:") == 5
            text, n_edits = re.subn(r'# unsure: "Booking Ref".*\n', "", text)
            text, n = re.subn(r"\[file.compose\]\n.*\n.*\n", "", text)
            n_edits += n
            text = text.replace(
                "[file.columns]", '[file.columns]\nsession_id = "Booking Ref"'
            ).replace(
                "[file.codes.status]", '[file.codes.status]\n"showed up" = "attended"'
            )
            assert n_edits == 2
            own.write_text(text, encoding="utf-8")
    checked = said[2]
    assert "sessions-1 -> sessions: 9 rows in" in checked
    assert "8 loaded, 1 footer" in checked
    assert "1 deliveries, 9 rows in: 8 loaded, 0 in quarantine" in said[3]
    # Names, addresses and cells of the file were never shown.
    for word in ("Example", "555-01", "elm", "C-1"):
        assert word not in "".join(said).replace("pat@example", "")


def test_check_of_an_invalid_mapping_ends_with_2_and_loads_nothing(home: Home) -> None:
    (home.path / "mappings").mkdir(parents=True)
    (home.path / "mappings" / "north.toml").write_text(HEAD + 'columns = { x = "y" }\n')
    said = home.run("mapping", "check", "north", check=2)
    assert "line 4" in said.stderr
    assert "no such column; one of" in said.stderr
    assert not (home.path / "bronze").exists()


def test_check_takes_the_next_delivery_and_leaves_it_for_the_night(home: Home) -> None:
    home.deliver(
        "d1", {"clients.csv": f"client_id,birth_date\nA,1980\n{CANARY},x\n,1990\n"}
    )
    said = home.run("mapping", "check", "canonical", "--json", check=4)
    (file,) = json.loads(said.stdout)["files"]
    assert file["rows"] == {
        "in": 3, "loaded": 2, "quarantined": 1, "filtered": 0, "footer": 0, "blank": 0,
    }  # fmt: skip
    assert CANARY not in said.stdout + said.stderr
    assert not (home.path / "bronze").exists()
    assert not list((home.path / "warehouse").glob("check-*"))
    status = json.loads(home.run("status", "--json").stdout)
    assert status["rows"]["in"] == 0


def test_check_counts_the_codes_that_a_fhir_mapping_explains(home: Home) -> None:
    def entries(source: str) -> int:
        said = home.run("mapping", "check", source, "--json")
        return json.loads(said.stdout)["n_entries"]

    (home.path / "mappings").mkdir(parents=True)
    (home.path / "mappings" / "north.toml").write_text(
        'extends = "fhir_r4"\n[fhir.goal_domains]\nsleep-better = "sleep"\n'
    )
    assert entries("north") == entries("fhir_r4") + 1 > 1
