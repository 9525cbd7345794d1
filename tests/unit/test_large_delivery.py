"""A large delivery is read another way than a small one, and becomes the same rows."""

import shutil
from pathlib import Path

import duckdb
import pytest

from rapport import night
from rapport.ingest import delimited, load
from rapport.privacy import KeyRing
from rapport.settings import Settings
from rapport.state import ControlState

HEAD = "administration_id,item,value\n"
FILES = {
    "an_answer_and_another": HEAD + "M2,1,3\nM1,2,4\nM1,1,5\nM2,2,1\n",
    "a_blank_around_a_cell": HEAD + " M1 ,1,5\nM1, 2 ,4\n",
    "a_row_without_its_id": HEAD + "M1,1,5\n,2,4\nM1,3,1\n",
    "a_row_too_short_and_a_blank_line": HEAD + "M1,1,5\nM1,2\n\nM1,3,1\n",
    "the_header_once_more": HEAD + "M1,1,5\n" + HEAD + "M1,2,4\n",
    "an_id_twice_with_one_item": HEAD + "M1,1,5\nM1,01,4\nM1,2,4\nM1,1,2\n",
    "items_that_no_form_knows": HEAD + "M1,zz,5\nM1,yy,4\n",
    "an_id_that_is_no_plain_text": HEAD + "Mé1,1,5\nMe\u03011,2,5\nM1,1,2\n",
    "a_last_row_that_was_cut_off": HEAD + "M1,1,5\nM1,2,4",
    "rows_that_end_in_a_comma": HEAD + "M1,1,5,\nM1,2,4,\n",
}


def taken_in(home: Path, files: dict[str, str]) -> dict[str, object]:
    """Take a delivery in; return what became of it, in the order in which it lies."""
    folder = home / "inbox" / "canonical" / "d1"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "_SUCCESS").touch()
    counts = night.ingest(Settings(home=home))
    with duckdb.connect() as con:
        rows = {
            path.parent.name: con.execute(f"from read_parquet('{path}')").fetchall()
            for path in sorted((home / "bronze").rglob("*.parquet"))
        }
        refused = {
            path.name: con.execute(f"from read_parquet('{path}')").fetchall()
            for path in sorted((home / "quarantine").rglob("*.parquet"))
        }
    state = ControlState(home)
    return {
        "counts": counts,
        "rows": rows,
        "quarantine": refused,
        "refusals": sorted(str(tuple(row)) for row in state.refusals()),
        "notices": sorted(str(tuple(row)) for row in state.notices()),
    }


def homes(tmp_path: Path) -> tuple[Path, Path]:
    """Return two homes with one key."""
    one, other = tmp_path / "small", tmp_path / "large"
    KeyRing.of(Settings(home=one), may_create=True)
    shutil.copytree(one / "vault", other / "vault", copy_function=shutil.copy2)
    return one, other


@pytest.mark.parametrize("fault", FILES)
def test_a_large_delivery_becomes_the_rows_of_a_small_one(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = homes(tmp_path)
    files = {
        "measure_items.csv": FILES[fault],
        "clients.csv": "client_id,birth_date\nA2,1980-01-02\nA1,1990-02-03\nA2,1980-01-02\n",
    }
    expected = taken_in(small, files)
    monkeypatch.setattr(load, "_SMALL_BYTES", 0)
    monkeypatch.setattr(delimited, "_SMALL_BYTES", 0)
    assert taken_in(large, files) == expected


def test_row_numbers_of_a_file_read_by_several_threads_are_those_of_its_lines(
    tmp_path: Path,
) -> None:
    n_rows = 900_000
    home = tmp_path / "home"
    folder = home / "inbox" / "canonical" / "d1"
    folder.mkdir(parents=True)
    with duckdb.connect() as con:
        con.execute(
            "copy (select 'M' || (hash(n) % 90000) as administration_id,"
            " (1 + n % 12) as item, n as value"
            f" from range({n_rows}) as r (n)) to '{folder}/measure_items.csv'"
        )
    (folder / "_SUCCESS").touch()
    night.ingest(Settings(home=home))
    (path,) = (home / "bronze").rglob("*.parquet")
    with duckdb.connect() as con:
        # The n-th value stands in the n-th line below the header.
        assert con.execute(
            f"select count(*), count(*) filter (row_no <> value + 2) from '{path}'"
        ).fetchone() == (n_rows, 0)
        keys = con.execute(
            f"select administration_key, row_no from '{path}'"
        ).fetchall()
    assert keys == sorted(keys)
