"""What a mapping makes of a vendor's cells: dates, numbers, words, forms, joins, footers."""

from datetime import date, datetime
from pathlib import Path

import pytest

from conftest import table
from lib.doors import Doorway

CANARY = "ZZCANARYZZ"


@pytest.fixture
def door(tmp_path: Path) -> Doorway:
    return Doorway(tmp_path / "home")


SESSIONS = """
[[file]]
match = "*"
table = "sessions"
columns = {{ session_id = "id", client_id = "client", therapist_id = "who", started_at = "start" }}
{more}
"""


def started(door: Doorway, cells: list[str], more: str) -> list[datetime | None]:
    """Return the start of each loaded session, in order of rows."""
    door.map("north", SESSIONS.format(more=more))
    rows = "".join(f'S{n},A,T,"{cell}"\n' for n, cell in enumerate(cells))
    door.take("north", {"a.csv": "id,client,who,start\n" + rows})
    return [row["started_at_wall"] for row in door.rows("sessions")]


@pytest.mark.parametrize(
    ("order", "cell", "wall"),
    [
        ("mdy", "3/5/2024 3:05 PM", datetime(2024, 3, 5, 15, 5)),
        ("mdy", "03/05/24 12:00 am", datetime(2024, 3, 5)),
        ("mdy", "6/8/2023 9:00:30 AM", datetime(2023, 6, 8, 9, 0, 30)),
        ("mdy", "6/8/2023 12:15 p.m.", datetime(2023, 6, 8, 12, 15)),
        ("mdy", "2024-03-05T15:05", datetime(2024, 3, 5, 15, 5)),
        ("dmy", "5.3.2024 8:05", datetime(2024, 3, 5, 8, 5)),
        ("dmy", "05/03/99", datetime(1999, 3, 5)),
        ("ymd", "2024/3/5 3 PM", datetime(2024, 3, 5, 15)),
        ("named", "5 Mar 2024 10:30", datetime(2024, 3, 5, 10, 30)),
        ("named", "Mar 5, 2024", datetime(2024, 3, 5)),
        ("ddmmyyyy", "5032024", datetime(2024, 3, 5)),
        ("ddmmyyyy", "05032024.0", datetime(2024, 3, 5)),
        ("mmddyyyy", "03052024", datetime(2024, 3, 5)),
        ("yyyymmdd", "20240305", datetime(2024, 3, 5)),
        ("excel_serial", "45356.5", datetime(2024, 3, 5, 12)),
        ("excel_serial", "59", datetime(1900, 2, 28)),
        ("excel_serial", "61", datetime(1900, 3, 1)),
        ("excel_1904", "43894", datetime(2024, 3, 5)),
    ],
)  # fmt: skip
def test_a_date_is_read_in_the_order_that_the_mapping_says(
    door: Doorway, order: str, cell: str, wall: datetime
) -> None:
    assert started(door, [cell], f'dates = {{ started_at = "{order}" }}') == [wall]


@pytest.mark.parametrize(
    ("order", "cell"),
    [("mdy", "13/13/2024"), ("mdy", "3/5/2024 13:05 PM"), ("dmy", "31/02/2024"),
     ("ddmmyyyy", "503204"), ("excel_serial", "0"), ("named", "5 Foo 2024")],
)  # fmt: skip
def test_a_date_that_no_calendar_has_makes_a_bad_row(
    door: Doorway, order: str, cell: str
) -> None:
    assert started(door, [cell], f'dates = {{ started_at = "{order}" }}') == []
    assert door.refusals() == {"timestamp_unreadable": 1}


def test_two_orders_in_a_required_column_refuse_the_file(door: Doorway) -> None:
    cells = ["03/04/2024", "25/04/2024", "04/25/2024"]
    assert started(door, cells, 'dates = { started_at = "mdy" }') == []
    assert door.refusals() == {"date_order_conflict": 3}


def test_a_column_that_contradicts_its_order_is_not_read_by_row(door: Doorway) -> None:
    door.map(
        "north",
        '[[file]]\nmatch = "*"\ntable = "clients"\ndates = { registered_on = "mdy" }\n'
        'columns = { client_id = "id", registered_on = "since" }\n',
    )
    door.take("north", {"a.csv": "id,since\nA,03/04/2024\nB,25/04/2024\n"})
    assert [row["registered_on"] for row in door.rows("clients")] == [None, None]
    assert door.notices()["clients", "registered_on", "date_order_conflict"] == 1


def test_a_birth_year_of_two_digits_is_not_guessed(door: Doorway) -> None:
    door.map(
        "north",
        '[[file]]\nmatch = "*"\ntable = "clients"\ndates = { birth_date = "mdy" }\n'
        'columns = { client_id = "id", birth_date = "dob" }\n',
    )
    door.take("north", {"a.csv": "id,dob\nA,5/6/35\nB,5/6/1935\n"})
    assert [row["birth_year"] for row in door.rows("clients")] == [None, 1935]


def test_date_time_zone_and_minutes_make_a_session(door: Doorway) -> None:
    door.map(
        "north",
        """
        [[file]]
        match = "*"
        table = "sessions"
        timezone = "America/Denver"
        columns = { session_id = "id", client_id = "c", therapist_id = "t", updated_at = "changed" }
        date_and_time = { started_at = ["day", "at"] }
        minutes = { ended_at = "long" }
        dates = { "*" = "mdy" }
        """,
    )
    door.take(
        "north",
        {"a.csv": table(
            "id | c | t | day | at | long | changed\n"
            "S1 | A | T | 7/4/2024 | 11:30 PM | 50 | 7/5/2024 1:00 AM\n"
            "S2 | A | T | 7/4/2024 | | | "
        )},
    )  # fmt: skip
    first, second = door.rows("sessions")
    assert first["timezone"] == "America/Denver"
    assert first["started_at_wall"] == datetime(2024, 7, 4, 23, 30)
    assert first["ended_at_wall"] == datetime(2024, 7, 5, 0, 20)
    assert first["updated_at"] == datetime(2024, 7, 5, 7, 0)
    assert second["started_at_is_date"]
    assert second["ended_at_wall"] is None


def test_numbers_are_read_with_the_signs_that_the_mapping_says(door: Doorway) -> None:
    door.map(
        "north",
        """
        [[file]]
        match = "*"
        table = "measures"
        delimiter = ";"
        decimal = ","
        thousands = "."
        columns = { administration_id = "id", client_id = "c", administered_at = "on", total_reported = "score" }
        constants = { instrument = "PHQ-9", rater = "client" }
        """,
    )
    cells = ["12,0", "1.234,5", "12", "12.5", "n/a", ""]
    rows = "".join(f"M{n};A;2024-01-0{n + 1};{c}\n" for n, c in enumerate(cells))
    door.take("north", {"a.csv": "id;c;on;score\n" + rows})
    assert [row["total_reported"] for row in door.rows("measures")] == [
        12.0, 1234.5, 12.0, None, None, None,
    ]  # fmt: skip
    assert door.notices()["measures", "total_reported", "number_unreadable"] == 2


def test_words_become_codes_nulls_and_truths(door: Doorway) -> None:
    door.map(
        "north",
        """
        [[file]]
        match = "*"
        table = "sessions"
        columns = { session_id = "id", client_id = "c", therapist_id = "t", started_at = "at", status = "st", modality = "m", deleted = "gone" }
        nulls = { "*" = ["NULL"], modality = ["-"] }
        codes = { status = { "Show " = "attended", "" = "unknown", "*" = "voided" } }
        booleans = { deleted = { true = ["weg"], false = ["da"] } }
        """,
    )
    door.take(
        "north",
        {"a.csv": table(
            "id | c | t | at | st | m | gone\nS1 | A | T | 2024-01-01 | SHOW | - | da\n"
            "S2 | A | T | 2024-01-02 | null | individual | weg\n"
            "S3 | A | T | 2024-01-03 | what | NULL | NULL"
        )},
    )  # fmt: skip
    found = [(r["status"], r["modality"], r["deleted"]) for r in door.rows("sessions")]
    assert found == [
        ("attended", None, False),
        ("unknown", "individual", True),
        ("voided", None, None),
    ]


def test_footers_repeated_headers_and_filters_are_counted_apart(door: Doorway) -> None:
    door.map(
        "north",
        SESSIONS.format(
            more='footer = ["total*"]\n[[file.filter]]\nname = "therapy_only"\n'
            'column = "who"\nkeep = ["T*"]'
        ),
    )
    door.take(
        "north",
        {"a.csv": "id,client,who,start\nS1,A,T1,2024-01-01\nid,client,who,start\n"
                  ",,,\nS2,A,X,2024-01-01\n,Total: 2,,\n"},
    )  # fmt: skip
    assert door.ledger() == [("sessions", 5, 1, 0, 1, 2, 1)]
    assert door.notices()["sessions", "therapy_only", "row_filtered"] == 1


WIDE = """
[[file]]
match = "*"
table = "measures"
columns = {{ client_id = "c", administered_at = "on" }}
[[file.questionnaire]]
instrument = "PHQ-9"
rater = "client"
id = ["c", "on"]
items = {items}
{more}
"""


def test_a_form_with_a_column_an_item_makes_its_rows(door: Doorway) -> None:
    door.map(
        "north",
        WIDE.format(
            items='"phq9_{{item}}"'.replace("{{", "{").replace("}}", "}"),
            more='total = "phq9_total"\nlabels = { "More than half the days" = 2 }',
        ),
    )
    heads = ",".join(f"phq9_{n}" for n in range(1, 10))
    door.take(
        "north",
        {"a.csv": f"c,on,{heads},phq9_check,phq9_total\n"
                  "A,2024-01-01,0,1,More than half the days,3,0,,x,0,1,4,7\n"
                  "A,2024-02-01,,,,,,,,,,,\n"
                  "B,2024-01-01,,,,,,,,,,,11\n"},
    )  # fmt: skip
    first, second = sorted(door.rows("measures"), key=lambda r: r["total_reported"])
    assert (first["instrument"], first["rater"]) == ("PHQ-9", "client")
    assert (first["total_reported"], second["total_reported"]) == (7, 11)
    items = door.rows("measure_items")
    assert len(items) == 18
    answers = {
        r["item"]: (r["value"], r["value_kind"])
        for r in items
        if r["administration_key"] == first["administration_key"]
    }
    assert answers["3"] == (2, "number")
    assert answers["6"] == (None, "empty")
    assert answers["7"] == (None, "text")
    assert {r["value"] for r in items
            if r["administration_key"] == second["administration_key"]} == {None}  # fmt: skip
    assert sorted(door.ledger()) == [
        ("measure_items", 19, 18, 0, 1, 0, 0),
        ("measures", 3, 2, 0, 1, 0, 0),
    ]


def test_items_that_are_not_the_registry_s_refuse_the_file(door: Doorway) -> None:
    door.map("north", WIDE.format(items='"phq9_{item}"', more=""))
    heads = ",".join(f"phq9_{n}" for n in range(1, 9))
    door.take("north", {"a.csv": f"c,on,{heads}\nA,2024-01-01{',0' * 8}\n"})
    assert door.rows("measures") == []
    assert "items_incomplete" in door.refusals()


def test_one_column_a_session_makes_one_administration_each(door: Doorway) -> None:
    door.map(
        "north",
        """
        [[file]]
        match = "*"
        table = "measures"
        columns = { client_id = "c", administered_at = "start" }
        [[file.questionnaire]]
        instrument = "ORS"
        rater = "client"
        id = ["c"]
        total = "ORS week {n}"
        times = 10
        days = { "2" = 14 }
        """,
    )
    door.take(
        "north",
        {
            "a.csv": "c,start,ORS week 0,ORS  Week 2\nA,2024-01-01,1.5,2.25\nB,2024-01-01,,3\n"
        },
    )
    found = sorted(
        (r["administered_at_wall"].date(), r["total_reported"])
        for r in door.rows("measures")
    )
    assert found == [
        (date(2024, 1, 1), 15.0),
        (date(2024, 1, 15), 22.5),
        (date(2024, 1, 15), 30.0),
    ]
    assert len({row["administration_key"] for row in door.rows("measures")}) == 3


ANSWERS = """
[[file]]
match = "*"
table = "measures"
columns = { client_id = "c", administered_at = "on" }
drop = ["x"]
[file.answers]
code = "code"
value = ["n", "s"]
id = ["c", "on"]
labels = { "LA6570-1" = 2 }
[[file.answers.form]]
instrument = "PHQ-9"
rater = "client"
total = ["44261-6"]
items = ["44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8"]
[[file.answers.form]]
instrument = "PHQ-2"
rater = "client"
total = ["55758-7"]
items = ["44250-9", "44255-8"]
"""


def test_a_long_file_makes_one_administration_of_its_answers(door: Doorway) -> None:
    door.map("north", ANSWERS)
    door.take(
        "north",
        {"a.csv": table(
            "c | on | code | n | s\nA | 2024-01-01 | 44250-9 | 1 | \n"
            "A | 2024-01-01 | 44260-8 | | LA6570-1\nA | 2024-01-01 | 44261-6 | | \n"
            "A | 2024-01-01 | 8302-2 | 180 | \nB | 2024-01-01 | 44250-9 | 3 | \n"
            "B | 2024-01-01 | 44255-8 | 2 | \nB | 2024-01-01 | 55758-7 | 5 | "
        )},
    )  # fmt: skip
    measures = {row["instrument"]: row for row in door.rows("measures")}
    assert set(measures) == {"PHQ-9", "unknown"}
    assert measures["PHQ-9"]["total_reported"] is None
    assert measures["unknown"]["total_reported"] == 5
    items = sorted((r["item"], r["value"]) for r in door.rows("measure_items"))
    assert items == [("1", 1), ("1", 3), ("2", 2), ("9", 2)]
    assert sorted(door.ledger()) == [
        ("measure_items", 7, 4, 0, 3, 0, 0),
        ("measures", 7, 2, 0, 5, 0, 0),
    ]


JOINED = """
[[file]]
match = "contacts*"
table = "sessions"
columns = { session_id = "id", started_at = "at", therapist_id = "who.practitioner" }
compose = { client_id = ["org", "episode.client"] }
[[file.join]]
name = "episode"
match = "episodes*"
on = { org = "org", ep = "ep" }
[[file.join]]
name = "who"
match = "staff*"
on = { id = "contact" }
[[file.join.filter]]
name = "primary_one"
column = "primary"
keep = ["1"]
"""


def test_rows_are_looked_up_in_other_files_of_the_delivery(door: Doorway) -> None:
    door.map("north", JOINED)
    door.take(
        "north",
        {
            "contacts.csv": "id,org,ep,at\nS1,O1,E1,2024-01-01\nS2,O2,E1,2024-01-02\nS3,O9,E1,2024-01-03\n",
            "episodes.csv": "org,ep,client\nO1,E1,C1\nO2,E1,C2\n",
            "staff.csv": "contact,practitioner,primary\nS1,T1,1\nS1,T2,2\nS2,T2,1\nS3,T1,1\n",
        },
    )
    rows = door.rows("sessions")
    ids = door.client_ids()
    assert [ids[row["client_key"]] for row in rows] == ["O1|C1", "O2|C2"]
    assert door.refusals() == {"required_value_missing": 1}
    assert sorted(door.ledger()) == [
        ("none", 2, 0, 0, 2, 0, 0),
        ("none", 4, 0, 0, 4, 0, 0),
        ("sessions", 3, 2, 1, 0, 0, 0),
    ]


def test_a_file_without_the_file_it_is_joined_to_is_refused(door: Doorway) -> None:
    door.map("north", JOINED)
    door.take("north", {"contacts.csv": "id,org,ep,at\nS1,O1,E1,2024-01-01\n"})
    assert "join_file_missing" in door.refusals()


def test_rows_of_one_id_fold_into_one(door: Doorway) -> None:
    door.map(
        "north",
        '[[file]]\nmatch = "*"\ntable = "sessions"\nfold = true\n'
        'columns = { client_id = "c", therapist_id = "t", started_at = "at", service_code = "code" }\n'
        'compose = { session_id = ["id", "c"] }\n',
    )
    door.take(
        "north",
        {"a.csv": "id,c,t,at,code\nS1,A,T,2024-01-01,\nS1,A,T,2024-01-01,90837\n"
                  "S1,B,T,2024-01-01,90853\n"},
    )  # fmt: skip
    assert [row["service_code"] for row in door.rows("sessions")] == ["90837", "90853"]
    assert door.ledger() == [("sessions", 3, 2, 0, 1, 0, 0)]


def test_a_row_that_only_deletes_needs_no_other_cell(door: Doorway) -> None:
    door.take(
        "canonical",
        {"sessions.csv": table(
            "session_id | client_id | therapist_id | started_at | deleted\n"
            "S1 | | | | true\nS2 | | | | false"
        )},
    )  # fmt: skip
    assert [row["deleted"] for row in door.rows("sessions")] == [True]
    assert door.refusals() == {"required_value_missing": 3}
