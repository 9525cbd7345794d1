"""One request from its file to a withdrawn release, and every attack of privacy.md F on it.

The home is laid by hand (tests/lib/extract_home.py); each attack is seen to succeed with
its control switched off.
"""

import csv
import hashlib
import html
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import frictionless
import pandas as pd
import polars as pl
import pyreadstat
import pytest

from lib.extract_home import AS_OF, TODAY, change_snapshot, lay_home, spec
from rapport.cli import main
from rapport.errors import (
    ExtractRefused,
    KeyMissing,
    RequestInvalid,
    UsageError,
)
from rapport.extracts import build, difference, frames, frozen, lifecycle, package
from rapport.extracts.codes import meaning
from rapport.extracts.columns import ALL_TABLES, TABLES
from rapport.extracts.ledger import ledger_path, verify_ledger
from rapport.extracts.levels import TOP, domain
from rapport.extracts.lifecycle import (
    approve_extract,
    find_standing,
    note_expired,
    refuse_extract,
    release_extract,
    request_extract,
    review_extract,
    withdraw_extract,
)
from rapport.extracts.request import read_request
from rapport.extracts.risk import measure_trajectory
from rapport.extracts.twin import write_twin
from rapport.extracts.verify import passed, seal_checks, verify_package
from rapport.privacy.studies import study_key
from rapport.privacy.zip3 import reduced_postal_code
from rapport.settings import Settings
from rapport.warehouse import in_memory, scratch_over_published

N = 260
EVERY_FORMAT = '["parquet", "csv", "sav", "dta"]'
# A lone person with a rare reason and a lone one with a rare mode: planted singletons.
SINGLETONS = (
    "update core.fct_episode set closure_reason = 'referred' where client_key ="
    " (select min(client_key) from core.dim_client)",
    "update core.fct_episode set n_attended = 2 where client_key ="
    " (select client_key from core.dim_client order by 1 limit 1 offset 100)",
    "update core.fct_session set delivery_mode = 'phone' where client_key ="
    " (select min(client_key) from core.dim_client)",
    "update core.dim_client set birth_year = 1900 where client_key ="
    " (select max(client_key) from core.dim_client)",
)


@dataclass(frozen=True)
class Released:
    """A home with one release, and what is known of it."""

    settings: Settings
    request_id: str
    folder: Path
    report: dict

    @property
    def key(self) -> Path:
        return next((self.settings.home / "extracts" / "keys").glob("*.pub"))

    def rows(self, table: str) -> list[dict[str, str]]:
        with (self.folder / "data" / f"{table}.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))


def ask(settings: Settings, **changes: str) -> lifecycle.Waiting:
    path = settings.home / "request.toml"
    path.write_text(spec(**changes), encoding="utf-8")
    return request_extract(settings, path, TODAY)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    settings = lay_home(tmp_path_factory.mktemp("extracts") / "home", N, SINGLETONS)
    waiting = ask(settings, formats=EVERY_FORMAT)
    report = review_extract(settings, waiting.request_id)["report"]
    approve_extract(settings, waiting.request_id, "Grace Hopper", TODAY)
    folder = release_extract(settings, waiting.request_id, TODAY)
    return Released(settings, waiting.request_id, folder, report)


@pytest.fixture
def copied(released: Released, tmp_path: Path) -> Path:
    """Return a copy of the package far from any home, to be tampered with."""
    return Path(shutil.copytree(released.folder, tmp_path / "package"))


# --- the package --------------------------------------------------------------------


def test_a_package_passes_its_own_checks_without_a_home(
    released: Released, copied: Path
) -> None:
    checks = verify_package(copied, released.key, None, TODAY)
    assert passed(checks), [check.line for check in checks if not check.ok]
    assert any(check.line.startswith("release.json: signature matches") for check in checks)  # fmt: skip


def test_every_table_has_the_columns_of_the_page_and_no_others(
    released: Released,
) -> None:
    levels = released.report["levels"]
    assert released.report["tables_withheld"] == []
    for table in (
        "clients",
        "episodes",
        "sessions",
        "alliance",
        "ruptures",
        "outcomes",
    ):
        header = list(released.rows(table)[0])
        allowed = [c.name for c in TABLES[table] if not c.profiles]
        assert header == [name for name in allowed if name in header]
        missing = set(allowed) - set(header)
        assert all(levels.get(name, 0) > 0 for name in missing - {"drop_ratio"}), (
            missing
        )
    assert {row["episode_no"] for row in released.rows("episodes")} == {"1"}
    weeks = {int(row["week_index"]) for row in released.rows("sessions")}
    assert weeks
    assert min(weeks) == 0
    # Opened three days before the first session: before week 0, and the episode stays.
    assert {row["open_week"] for row in released.rows("episodes")} == {""}
    assert {row["drop_ratio"] for row in released.rows("ruptures")} == {"1.3"}


def test_rows_are_sorted_by_pseudonym_then_session(released: Released) -> None:
    found = [(r["client_id"], int(r["session_number"])) for r in released.rows("sessions")]  # fmt: skip
    assert found == sorted(found)
    ids = [row["client_id"] for row in released.rows("clients")]
    assert ids == sorted(ids)


def test_pandas_polars_duckdb_spss_and_stata_read_the_same_rows(
    released: Released,
) -> None:
    data = released.folder / "data"
    tables = sorted(path.stem for path in data.glob("*.csv"))
    assert len(tables) == 6
    for table in tables:
        frame = pd.read_csv(data / f"{table}.csv")
        with duckdb.connect() as con:
            other = con.execute(f"select * from '{data / f'{table}.parquet'}'").df()
        lazy = pl.read_parquet(data / f"{table}.parquet")
        sav, labels = pyreadstat.read_sav(str(data / f"{table}.sav"))
        dta, _ = pyreadstat.read_dta(str(data / f"{table}.dta"))
        assert list(frame) == list(other) == list(lazy.columns) == list(sav) == list(dta)  # fmt: skip
        assert len(frame) == len(other) == len(lazy) == len(sav) == len(dta) > 0
        assert all(labels.column_labels)
        for name in frame:
            numbers = [pd.to_numeric(f[name].astype(float), errors="raise").fillna(-1)
                       for f in (frame, other, sav, dta)
                       if pd.api.types.is_numeric_dtype(frame[name])]  # fmt: skip
            for column in numbers[1:]:
                assert list(column) == list(numbers[0]), (table, name)
            if not numbers:
                texts = [list(f[name].fillna("").astype(str).str.lower().replace("nan", ""))
                         for f in (frame, other)]  # fmt: skip
                assert texts[0] == texts[1], (table, name)


def test_the_package_validates_as_a_data_package(
    released: Released, copied: Path
) -> None:
    """frictionless checks types, codes, ranges, keys and references of every row."""
    report = frictionless.validate(str(copied / "datapackage.json"))
    assert report.valid, report.flatten(["title", "fieldName", "type"])
    assert len(report.tasks) == 6
    path = copied / "data" / "episodes.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines, lines[1]]), encoding="utf-8")  # an id twice
    assert not frictionless.validate(str(copied / "datapackage.json")).valid


def test_files_carry_the_datas_day_and_no_clock(released: Released) -> None:
    sav = (released.folder / "data" / "clients.sav").read_bytes()
    assert sav[92:109] == b"30 Jun 2600:00:00"
    dta = (released.folder / "data" / "clients.dta").read_bytes()
    assert b"<timestamp>\x1130 Jun 2026 00:00</timestamp>" in dta
    with duckdb.connect() as con:
        said = con.execute(
            f"select * from parquet_kv_metadata('{released.folder}/data/clients.parquet')"
        ).fetchall()
    assert said == []
    content = (released.folder / "data" / "clients.csv").read_bytes()
    assert not content.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in content


def test_the_same_request_gives_the_same_bytes(
    released: Released, tmp_path: Path
) -> None:
    path = tmp_path / "request.toml"
    path.write_text(spec(formats=EVERY_FORMAT))
    folder = tmp_path / "again"
    folder.mkdir()
    build.build_package(
        released.settings, read_request(path), released.request_id, folder, {}, TODAY
    )
    first = package.file_sums(released.settings.home / "extracts" / released.request_id / "build")  # fmt: skip
    assert package.file_sums(folder) == first
    assert len(first) == 6 * 4 + 7


def test_the_codebook_describes_every_column_and_every_code(released: Released) -> None:
    with (released.folder / "codebook.csv").open(encoding="utf-8") as file:
        book = {(r["table"], r["column"]): r for r in csv.DictReader(file)}
    seen = set()
    for path in (released.folder / "data").glob("*.csv"):
        rows = released.rows(path.stem)
        for name in rows[0]:
            said = book[path.stem, name]
            seen.add((path.stem, name))
            assert said["description"]
            held = {row[name] for row in rows} - {""}
            if said["type"] in ("string", "boolean") and not name.endswith("_id"):
                assert held <= set(said["values"].split(";")), (path.stem, name)
            assert ("" in {row[name] for row in rows}) == (said["missing"] == "empty")
    assert seen == set(book)
    page = (released.folder / "codebook.html").read_text("utf-8")
    said = json.loads((released.folder / "datapackage.json").read_text("utf-8"))
    for resource in said["resources"]:
        for field in resource["schema"]["fields"]:
            for category in field.get("categories", ()):
                assert category["label"], (field["name"], category["value"])
                assert f"<code>{html.escape(category['value'])}</code>" in page
                assert category["label"] in html.unescape(page)


def test_every_code_that_any_package_may_hold_has_a_meaning() -> None:
    untold = [
        (table, column.name, code)
        for table, columns in ALL_TABLES.items()
        for column in columns
        for level in range(TOP.get(column.name, 1))
        for code in (
            domain(column.name, level, column.codes if not level else ())
            if column.kind == "qi"
            else column.codes
        )
        if not meaning(table, column, code)
    ]
    assert untold == []


def test_the_descriptor_names_every_csv_with_its_hash(released: Released) -> None:
    said = json.loads((released.folder / "datapackage.json").read_text())
    assert said["$schema"].endswith("/2.0/datapackage.json")
    for resource in said["resources"]:
        content = (released.folder / resource["path"]).read_bytes()
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert resource["bytes"] == len(content)
        names = [field["name"] for field in resource["schema"]["fields"]]
        assert names == content.decode().splitlines()[0].split(",")
    keyed = {r["name"]: r["schema"].get("primaryKey") for r in said["resources"]}
    assert keyed["clients"] == ["client_id"]


def test_pages_run_no_script_and_fetch_nothing(released: Released) -> None:
    for name in ("risk_report.html", "codebook.html"):
        text = (released.folder / name).read_text()
        assert "default-src 'none'" in text
        assert "<script" not in text
        assert "http://" not in text
        assert "https://" not in text


def test_nothing_of_the_warehouse_is_in_any_file(released: Released) -> None:
    """B2: keys, uids and source ids, in plain and decoded."""
    with duckdb.connect(str(released.settings.home / "published" / "rapport.duckdb"),
                        read_only=True) as con:  # fmt: skip
        planted = [r[0] for r in con.execute("select client_key from core.dim_client union"
                   " select episode_key from core.fct_episode").fetchall()]  # fmt: skip
    assert len(planted) == 2 * N
    canaries = released.settings.home / "canaries.txt"
    canaries.write_text("\n".join(planted[:40]))
    checks = verify_package(released.folder, None, canaries, TODAY)
    assert [c.line for c in checks if "canar" in c.line] == [
        "canaries: 40 searched, none found"
    ]
    # One that is there is found, in a compressed table too, and told by its number.
    row = released.rows("outcomes")[0]["episode_id"]
    canaries.write_text(f"{planted[0]}\n{row}\n")
    lines = [c.line for c in verify_package(released.folder, None, canaries, TODAY)
             if not c.ok]  # fmt: skip
    assert "data/outcomes.parquet: canary #2" in lines
    assert "data/outcomes.sav: canary #2" in lines
    assert not [line for line in lines if line.endswith("#1") or row in line]
    canaries.write_text("short\n")
    with pytest.raises(UsageError, match="fewer than 8 characters"):
        verify_package(released.folder, None, canaries, TODAY)
    assert released.report["canaries"]["planted"] > 2 * N
    assert released.report["canaries"]["hits"] == 0


# --- attacks: control off, control on -----------------------------------------------


def test_persons_hide_among_eleven_and_share_no_secret(released: Released) -> None:
    qis = released.report["quasi_identifiers"]
    rows = released.rows("clients")
    index = {r["client_id"]: r for r in released.rows("episodes")}
    groups: dict[tuple, list[str]] = {}
    for row in rows:
        groups.setdefault(tuple(row[q] for q in qis), []).append(row["client_id"])
    assert min(len(ids) for ids in groups.values()) == released.report["k_min"] >= 11
    for name in ("pattern", "dropout"):
        held = [{index[i][name] for i in ids} - {""} for ids in groups.values()]
        assert (
            min(len(values) for values in held) == released.report["l_min"][name] >= 2
        )


def test_two_releases_may_not_differ_by_one_person(released: Released) -> None:
    everyone = frozenset(f"u{n}" for n in range(40))
    (off,) = difference.differences(
        {difference.WHOLE: everyone - {"u7"}}, {"r_old": {difference.WHOLE: everyone}}
    )
    assert (off.new, off.gone) == (0, 1)  # whoever holds both sees u7
    with pytest.raises(ExtractRefused, match="fewer than 11 persons") as caught:
        ask(released.settings, study='"a-third-study"', cohort="{ min_attended = 3 }")
    assert caught.value.reason == "extract_differencing"


def test_who_arrives_late_in_a_frozen_month_does_not_enter(released: Released) -> None:
    home = released.settings.home
    kept = (home / "published" / "rapport.duckdb").read_bytes()
    change_snapshot(released.settings, SINGLETONS[:1], n=N + 5)
    try:
        with scratch_over_published(released.settings) as con:
            key = study_key(home, "alliance-repair-2026", may_create=False)
            frames.lay_subjects(con, home)
            path = home / "request.toml"
            path.write_text(spec())
            request = read_request(path)
            first, last = request.period.from_, request.period.to
            frozen.lay_frozen_months(con, home, first, last, last)
            frames.lay_pseudonyms(con, request.study, key)
            on = frames.lay_cohort(con, request)
            for table in ("member", "course"):
                con.execute(
                    f"create or replace table held.{table} as from live.{table}"
                )
            frames.lay_pseudonyms(con, request.study, key)
            off = frames.lay_cohort(con, request)
        assert (on, off) == (N, N + 5)
    finally:
        (home / "published" / "rapport.duckdb").write_bytes(kept)


def fingerprints(n: int, tmp_path: Path) -> Settings:
    """Lay a home in which every score is one of many, told in weeks."""
    return lay_home(
        tmp_path / "home",
        n,
        (
            "update alliance.fct_alliance_session set client_total ="
            " 1 + (hash(session_key) % 400) / 100.0,"
            " client_goal = 1 + (hash(session_key || 'g') % 400) / 100.0",
        ),
    )


def test_three_remembered_visits_name_nobody_in_what_leaves(tmp_path: Path) -> None:
    settings = fingerprints(40, tmp_path)
    waiting = ask(settings)
    report = review_extract(settings, waiting.request_id)["report"]
    with scratch_over_published(settings) as con:
        path = settings.home / "request.toml"
        request = read_request(path)
        key = study_key(settings.home, request.study, may_create=False)
        frames.lay_subjects(con, settings.home)
        frozen.lay_frozen_months(con, settings.home, request.period.from_,
                                 request.period.to, request.period.to)  # fmt: skip
        frames.lay_pseudonyms(con, request.study, key)
        frames.lay_cohort(con, request)
        frames.lay_base(con, request)
        frames.lay_data(con, request, frames.RUNGS[0], {"sex": ["x"] * 40})
        off = measure_trajectory(con, request.digest(), ["sex"])
    assert off.mean > 0.5
    assert report["trajectory"]["mean"] <= 0.05
    assert report["rung"] is None
    assert report["tables_withheld"] == ["sessions", "alliance", "ruptures", "outcomes"]
    words = " ".join(waiting.preview.split())
    assert "three remembered visits would name too many" in words
    assert "sessions: not released" in words
    with pytest.raises(UsageError, match="not empty"):
        write_twin(request, settings.home, 20)


@pytest.mark.parametrize(
    "cell", ["=cmd()", "+1+1", "-x", "@sum", "\tx", "＝cmd", "＠x"]
)
def test_a_spreadsheet_formula_stops_the_build(cell: str) -> None:
    with in_memory() as con:
        con.execute("create schema data")
        con.execute("create table data.outcomes as select 'AAAAAAAAAAAAAAAA' as client_id,"
                    " 'PCL-5' as instrument, -4.5 as change")  # fmt: skip
        package.stop_on_formula(con, ["outcomes"])
        con.execute("insert into data.outcomes values ('B', ?, 1)", [cell])
        with pytest.raises(ExtractRefused) as caught:
            package.stop_on_formula(con, ["outcomes"])
    assert "outcomes.instrument: formula (row 3)" in caught.value.message
    assert cell not in caught.value.message


def test_only_populous_postal_areas_are_kept() -> None:
    """The list of the 2000 census, still printed in guidance, misses six of today."""
    kept = {f"{n:03d}" for n in range(1000)} - {
        f"{n:03d}" for n in range(1000) if reduced_postal_code(f"{n:03d}01") == "000"
    }
    assert len(kept) == 876
    stale = {
        "036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830",
        "831", "878", "879", "884", "890", "893",
    }  # fmt: skip
    today = {"202", "204", "205", "369", "753", "772"}
    assert today & stale == set()
    assert today & kept == set()
    withheld = frames._allowed_zip3
    assert [withheld(z, ["606"]) for z in ("100", "606", "036", None)] == [
        "100", "000", "000", "missing",
    ]  # fmt: skip


def test_any_altered_file_is_found(released: Released, copied: Path) -> None:
    said = json.loads((copied / "release.json").read_text())
    assert passed(seal_checks(copied, said, released.key))
    files = sorted(p for p in copied.rglob("*") if p.is_file())
    assert len(files) == 6 * 4 + 9
    for path in files:
        if path.name == "release.json":
            continue
        whole = path.read_bytes()
        path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        wrong = [c.line for c in seal_checks(copied, said, released.key) if not c.ok]
        assert wrong, path.name
        path.write_bytes(whole)
    (copied / "data" / "clients.sav").unlink()
    (copied / "notes.txt").write_text("x")
    wrong = [c.line for c in seal_checks(copied, said, released.key) if not c.ok]
    assert wrong == ["data/clients.sav: listed but missing", "notes.txt: not listed"]


def test_a_forged_manifest_is_found(released: Released, copied: Path) -> None:
    from base64 import b64encode

    import rfc8785
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from rapport.privacy.studies import key_id

    said = json.loads((copied / "release.json").read_text())
    forged = said | {"n_persons": 1}
    (line,) = [c.line for c in seal_checks(copied, forged, None) if not c.ok and "key" in c.line]  # fmt: skip
    assert line == f"release.json: signature does not match key {said['key_id']}"
    own = Ed25519PrivateKey.from_private_bytes(b"f" * 32)
    public = own.public_key().public_bytes_raw()
    forged |= {"public_key": b64encode(public).decode(), "key_id": key_id(public)}
    del forged["signature"]
    forged["signature"] = b64encode(own.sign(rfc8785.dumps(forged))).decode()
    off = seal_checks(copied, forged, None)
    assert next(c for c in off if "signed by" in c.line).ok  # nobody pinned the key
    on = seal_checks(copied, forged, released.key)
    assert "release.json: signed by an unknown key; integrity only" in [
        c.line for c in on if not c.ok
    ]


def test_edited_contents_are_told_without_a_value(
    released: Released, copied: Path
) -> None:
    clients = copied / "data" / "clients.csv"
    with duckdb.connect() as con:
        con.execute(f"create table t as select * from '{copied}/data/clients.parquet'")
        con.execute("alter table t add column birth_year integer default 1975")
        con.execute("alter table t add column zip3 varchar default '100'")
        con.execute("update t set age_band = '2026-01-05' where client_id ="
                    " (select min(client_id) from t)")  # fmt: skip
        con.execute(f"copy t to '{copied}/data/clients.parquet' (format parquet)")
        con.execute(f"copy t to '{clients}' (format csv, header)")
    lines = [c.line for c in verify_package(copied, None, None, TODAY) if not c.ok]
    assert "data/clients.csv: bytes differ from SHA256SUMS" in lines
    assert "clients.birth_year: not allowed in safe_harbor" in lines
    assert "clients.zip3: not allowed in safe_harbor" in lines
    assert "clients.age_band: looks like a date (row 2)" in lines
    assert "k: smallest class has 1 persons, needs 11" in lines
    assert not any("1975" in line or "2026-01-05" in line for line in lines)


# --- people, states, bad input ------------------------------------------------------


def test_nobody_approves_their_own_request_or_without_being_named(
    released: Released,
) -> None:
    waiting = ask(released.settings, study='"own-approval"', tables='["clients"]')
    with pytest.raises(UsageError, match="of their own"):
        approve_extract(released.settings, waiting.request_id, "  ada BYRON ", TODAY)
    with pytest.raises(UsageError, match="not among"):
        approve_extract(released.settings, waiting.request_id, "Nobody", TODAY)
    with pytest.raises(ExtractRefused, match="not approved"):
        release_extract(released.settings, waiting.request_id, TODAY)
    folder = released.settings.home / "extracts" / waiting.request_id
    approve_extract(released.settings, waiting.request_id, "Grace Hopper", TODAY)
    with pytest.raises(ExtractRefused, match="the approval ended on"):
        release_extract(
            released.settings, waiting.request_id, TODAY + timedelta(days=31)
        )
    path = folder / "build" / "data" / "clients.csv"
    path.write_bytes(path.read_bytes().replace(b"male", b"mole", 1) + b"\n")
    with pytest.raises(ExtractRefused, match="review again"):
        release_extract(released.settings, waiting.request_id, TODAY)
    with pytest.raises(ExtractRefused, match="review again"):
        approve_extract(released.settings, waiting.request_id, "Grace Hopper", TODAY)
    assert not (folder / "release").exists()
    refuse_extract(
        released.settings, waiting.request_id, "Grace Hopper", "edited build"
    )
    assert not (folder / "build").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cohort": '{ state = ["TX"] }'}, "extract_cohort_empty"),
        ({"cohort": '{ approach = ["emdr"] }',
          "period": "{ from = 2024-03-01, to = 2024-03-31 }"}, "extract_cohort_small"),
    ],
)  # fmt: skip
def test_an_empty_or_small_cohort_is_refused_and_leaves_nothing(
    released: Released, changes: dict[str, str], reason: str
) -> None:
    with pytest.raises(ExtractRefused) as caught:
        ask(released.settings, **changes)
    assert caught.value.reason == reason
    last = json.loads(ledger_path(released.settings.home).read_text().splitlines()[-1])
    assert (last["event"], last["reason"]) == ("refused", reason)
    assert not (released.settings.home / "extracts" / last["request_id"]).exists()


def test_a_lost_key_stops_what_depends_on_it(released: Released) -> None:
    home = released.settings.home
    key = home / "vault" / "studies" / "alliance-repair-2026.key"
    kept = key.read_bytes()
    key.unlink()
    try:
        with pytest.raises(KeyMissing, match="restore vault/studies"):
            ask(released.settings, title='"The same study, asked for once more"')
        assert not key.exists()
    finally:
        key.write_bytes(kept)
        key.chmod(0o600)


def test_the_ledger_shows_a_flipped_byte_a_swap_and_a_cut_tail(
    released: Released,
) -> None:
    home = released.settings.home
    path = ledger_path(home)
    whole = path.read_text()
    assert verify_ledger(home) == []
    lines = whole.splitlines(keepends=True)
    for altered in (
        [lines[0].replace("Ada", "Eve"), *lines[1:]],
        [lines[1], lines[0], *lines[2:]],
        lines[:-1],
    ):
        path.write_text("".join(altered))
        assert verify_ledger(home), "not found"
        with pytest.raises(RequestInvalid, match="not whole"):
            find_standing(home, released.request_id)
    path.write_text(whole)
    assert verify_ledger(home) == []


def test_asking_again_for_what_is_there_builds_nothing(released: Released) -> None:
    again = ask(released.settings, formats=EVERY_FORMAT)
    assert (again.request_id, again.state) == (released.request_id, "released")
    assert release_extract(released.settings, released.request_id, TODAY) == released.folder  # fmt: skip


@pytest.mark.parametrize("profile", ["expert", "limited"])
def test_the_other_profiles_hold_what_they_add(
    profile: str, tmp_path: Path, released: Released
) -> None:
    more = {"dua": '"DUA-2026-014"', "profile": f'"{profile}"', "study": f'"{profile}-study"'}  # fmt: skip
    if profile == "expert":
        more["determination"] = '"Dr Example, 2026-01-05, 164.514(b)(1)"'
    path = tmp_path / "request.toml"
    path.write_text(spec(tables='["clients", "episodes", "sessions"]', **more))
    folder = tmp_path / "build"
    folder.mkdir()
    build.build_package(
        released.settings, read_request(path), "q_other", folder, {}, TODAY
    )
    with (folder / "data" / "clients.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (folder / "DUA.txt").exists()
    assert "state" not in rows[0]
    if profile == "expert":
        assert "clinic_group" in rows[0]
        assert "index_date" not in rows[0]
        return
    assert {r["zip3"] for r in rows} == {"100", "900", "000"}  # 036 is no longer kept
    assert all(date.fromisoformat(r["index_date"]) <= AS_OF for r in rows)
    assert "90+" in {r["age"] for r in rows}
    assert "105" not in {r["age"] for r in rows}


def ask_public(settings: Settings) -> lifecycle.Waiting:
    return ask(settings, profile='"public"', study='"public-figures"',
               tables='["qi.endings", "qi.outcome_monthly"]')  # fmt: skip


def test_public_tables_are_not_to_be_subtracted_from_a_package(
    released: Released,
) -> None:
    # The package left a few persons out: totals less its rows would tell of them alone.
    with pytest.raises(ExtractRefused, match="fewer than 20 persons"):
        ask_public(released.settings)


def test_public_tables_give_no_small_cell_away(tmp_path: Path) -> None:
    settings = lay_home(tmp_path / "home", N, SINGLETONS)
    waiting = ask_public(settings)
    report = review_extract(settings, waiting.request_id)["report"]
    assert report["cells"]["primary"] > 0
    assert report["cells"]["min_width"] >= 19
    approve_extract(settings, waiting.request_id, "Grace Hopper", TODAY)
    folder = release_extract(settings, waiting.request_id, TODAY)
    key = Released(settings, waiting.request_id, folder, report).key
    assert passed(verify_package(folder, key, None, TODAY))
    with (folder / "data" / "qi_endings.csv").open() as file:
        shown = [int(r["n_persons"]) for r in csv.DictReader(file) if r["n_persons"]]
    assert shown
    assert not [n for n in shown if 0 < n < 20]


def test_a_twin_has_the_packages_columns_and_none_of_its_persons(
    released: Released, tmp_path: Path
) -> None:
    request = tmp_path / "request.toml"
    request.write_text(spec())
    write_twin(read_request(request), tmp_path / "twin", 30)
    for path in (released.folder / "data").glob("*.csv"):
        with (tmp_path / "twin" / "data" / path.name).open() as file:
            twin = list(csv.DictReader(file))
        rows = released.rows(path.stem)
        assert set(rows[0]) <= set(twin[0])
        assert {r["client_id"] for r in rows} & {r["client_id"] for r in twin} == set()


def test_airflows_page_and_the_terminal_call_the_same_functions(
    released: Released,
) -> None:
    home = released.settings.home
    folder = home / "extracts" / "requests"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "broken.toml").write_text("study = 1")
    (folder / "good.toml").write_text(
        spec(study='"asked-by-file"', tables='["clients"]')
    )
    waiting = lifecycle.prepare_requests(released.settings, TODAY)
    (own,) = [
        id_ for id_ in waiting
        if lifecycle._request(home, id_).study == "asked-by-file"
    ]  # fmt: skip
    assert [path.name for path in folder.glob("*.toml")] == ["broken.toml"]
    assert lifecycle.prepare_requests(released.settings, TODAY, own) == [own]
    with pytest.raises(UsageError, match="does not wait for an answer"):
        lifecycle.prepare_requests(released.settings, TODAY, "q_aaaaaaaaaaaa")
    figures = lifecycle.report_figures(released.settings, own)
    assert figures["k_min"] >= 11
    assert all(isinstance(value, int | float) for value in figures.values())
    with pytest.raises(UsageError, match="of their own"):
        lifecycle.settle_extract(
            released.settings, own, "approve", "Ada Byron", "", TODAY
        )
    left = lifecycle.settle_extract(released.settings, own, "later", "", "", TODAY)
    assert left == {"outcome": "waiting"}
    assert find_standing(home, own).state == "built"
    done = lifecycle.settle_extract(
        released.settings, own, "approve", "Grace Hopper", "", TODAY
    )
    assert done == {"outcome": "released"}
    assert find_standing(home, own).is_out


def test_the_commands_end_with_the_codes_of_the_interface(
    released: Released,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAPPORT_HOME", str(released.settings.home))

    def code(*words: str) -> int:
        with pytest.raises(SystemExit) as caught:
            main(["extract", *words])
        return int(caught.value.code or 0)

    bad = released.settings.home / "bad.toml"
    bad.write_text("study = 1")
    assert code("request", str(bad)) == 2
    assert code("review", "q_nobody") == 2
    assert code("verify", str(released.settings.home)) == 2
    assert code("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)["requests"]
    assert released.request_id in {row["request_id"] for row in listed}
    assert code("verify", str(released.folder), "--key", str(released.key)) == 0
    assert capsys.readouterr().out.startswith("✓ release.json: signature matches key")


def test_a_package_past_its_day_says_so(released: Released) -> None:
    late = verify_package(released.folder, None, None, date(2028, 1, 1))
    assert "expired on 2027-12-31" in [c.line for c in late if not c.ok]


def test_a_withdrawn_release_says_so_and_counts_no_longer(
    released: Released, new_home: Callable
) -> None:
    home = Path(shutil.copytree(released.settings.home, new_home("gone").path))
    settings = released.settings.model_copy(update={"home": home})
    holder = withdraw_extract(settings, released.request_id, "found a mistake")
    assert holder == "Ada Byron, University"
    folder = home / "extracts" / released.request_id / "release"
    lines = [c.line for c in verify_package(folder, None, None, TODAY) if not c.ok]
    assert len(lines) == 1
    assert lines[0].startswith("withdrawn on ")
    assert lines[0].endswith(": found a mistake")
    earlier = lifecycle._earlier(home)
    assert find_standing(home, released.request_id).release_id not in earlier
    assert note_expired(settings, date(2028, 3, 1))["n_keys_destroyed"] >= 1
    assert not (home / "vault" / "studies" / "alliance-repair-2026.key").exists()
