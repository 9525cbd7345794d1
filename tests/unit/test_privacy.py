"""Keys, the audit chain and the log filter: what keeps identity behind the door."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rapport import observe
from rapport.errors import KeyMissing, UsageError
from rapport.privacy import KeyRing, append_audit, audit_head, verify_audit
from rapport.privacy.keys import PREFIXES
from rapport.settings import Settings, load_settings
from rapport.sharing import share, too_open


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"RAPPORT_HOME": str(tmp_path)})


def test_keys_have_the_published_shape_and_outlive_a_restart(
    settings: Settings,
) -> None:
    keys = KeyRing.of(settings, may_create=True)
    key = keys.row_key("client", "north", "  00123 ")
    assert re.fullmatch(r"cl_[a-z2-7]{26}", key)
    assert KeyRing.of(settings).row_key("client", "north", "00123") == key
    assert keys.row_key("client", "south", "00123") != key
    assert re.fullmatch(r"b_[a-z2-7]{12}", keys.batch_id("north", "2026-01-01"))


def test_no_plain_hash_of_an_id_finds_its_key(settings: Settings) -> None:
    key = KeyRing.of(settings, may_create=True).row_key("client", "north", "123")
    for said in (b"123", b"v1|client|north|123"):
        for name in ("md5", "sha1", "sha256"):
            assert hashlib.new(name, said).hexdigest()[:20] not in key
            assert hmac.digest(b"", said, "sha256").hex()[:20] not in key


def test_record_numbers_are_found_by_trying_them_all_unless_the_key_is_known(
    settings: Settings,
) -> None:
    """The attack works on any hash without a secret, and finds none of ours."""
    ids = [f"{n:04d}" for n in range(10_000)]
    victims = ids[::997]
    keys = KeyRing.of(settings, may_create=True)
    published = {keys.row_key("client", "north", id_)[3:] for id_ in victims}

    def base32(digest: bytes) -> str:
        return base64.b32encode(digest).decode().lower()[:26]

    def tried(make: Callable[[bytes], bytes]) -> set[str]:
        said = [f"v1|client|north|{id_}".encode() for id_ in ids]
        plain = [id_.encode() for id_ in ids]
        return {base32(make(one)) for one in (*said, *plain)}

    ways: list[Callable[[bytes], bytes]] = [
        lambda said: hashlib.md5(said).digest() * 2,
        lambda said: hashlib.sha1(said).digest(),
        lambda said: hashlib.sha256(said).digest(),
        lambda said: hmac.digest(b"", said, "sha256"),
        lambda said: hmac.digest(b"rapport", said, "sha256"),
    ]
    for way in ways:
        unkeyed = {base32(way(id_.encode())) for id_ in victims}
        assert unkeyed <= tried(way), "without a key every victim is found"
        assert published.isdisjoint(tried(way))


def test_a_lost_open_or_swapped_key_stops_before_any_row(settings: Settings) -> None:
    KeyRing.of(settings, may_create=True)
    file = settings.home / "vault" / "keys" / "k1.key"
    file.chmod(0o644)
    with pytest.raises(KeyMissing, match="open to others"):
        KeyRing.of(settings)
    file.chmod(0o600)
    file.write_bytes(b"x" * 32)
    with pytest.raises(KeyMissing, match="not the one"):
        KeyRing.of(settings)
    file.unlink()
    with pytest.raises(KeyMissing, match="row key missing"):
        KeyRing.of(settings)


def test_an_altered_or_cut_audit_log_is_found(tmp_path: Path) -> None:
    for n in range(3):
        append_audit(tmp_path, "identity_export", "all clients", f"reason {n}")
    assert verify_audit(tmp_path) == []
    path = tmp_path / "vault" / "audit.jsonl"
    lines = path.read_text().splitlines()
    changed = json.loads(lines[1]) | {"reason": "another"}
    path.write_text("\n".join([lines[0], json.dumps(changed), lines[2]]) + "\n")
    assert any("altered" in wrong for wrong in verify_audit(tmp_path))
    path.write_text("\n".join([lines[0], lines[2]]) + "\n")
    assert any("broken" in wrong for wrong in verify_audit(tmp_path))


def test_a_cut_tail_is_found_by_the_copies_that_nights_took(tmp_path: Path) -> None:
    """The chain alone cannot see it: what is left of it still holds."""
    for n in range(4):
        append_audit(tmp_path, "identity_export", "all clients", f"reason {n}")
    copies = [str(audit_head(tmp_path))]
    assert verify_audit(tmp_path, copies) == []
    path = tmp_path / "vault" / "audit.jsonl"
    whole = path.read_text().splitlines()
    path.write_text("\n".join(whole[:2]) + "\n")
    assert verify_audit(tmp_path) == []
    assert any("cut off" in wrong for wrong in verify_audit(tmp_path, copies))
    path.unlink()
    assert any("cut off" in wrong for wrong in verify_audit(tmp_path, copies))
    path.write_text("\n".join([whole[0], whole[2], whole[1], whole[3]]) + "\n")
    assert any("broken" in wrong for wrong in verify_audit(tmp_path, copies))
    flipped = whole[1].replace("reason 1", "reason 2")
    path.write_text("\n".join([whole[0], flipped, *whole[2:]]) + "\n")
    assert any("altered" in wrong for wrong in verify_audit(tmp_path, copies))
    # A forger who writes the whole chain anew is found by the copy.
    path.unlink()
    for n in range(4):
        append_audit(tmp_path, "identity_export", "all clients", f"other {n}")
    assert verify_audit(tmp_path) == []
    assert any("a night saw" in wrong for wrong in verify_audit(tmp_path, copies))


def test_shared_folders_are_open_to_their_group_and_the_rest_to_nobody(
    tmp_path: Path,
) -> None:
    for name in ("published", "dashboard", "bronze"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
        (tmp_path / name / "file").touch()
        (tmp_path / name / "file").chmod(0o644)  # whatever the umask
    (tmp_path / "rapport.toml").write_text('[security]\nshared_read = ["published"]\n')
    settings = load_settings({"RAPPORT_HOME": str(tmp_path)})
    share(settings)

    def mode(name: str) -> int:
        return (tmp_path / name).stat().st_mode & 0o777

    assert (mode("published"), mode("published/file")) == (0o750, 0o640)
    assert (mode("dashboard"), mode("dashboard/file")) == (0o700, 0o600)
    (tmp_path / "rapport.toml").chmod(0o600)
    (tmp_path / "bronze").chmod(0o700)
    assert too_open(settings) == (["bronze/file"], [])
    (tmp_path / "published/file").chmod(0o644)
    assert too_open(settings)[0] == ["bronze/file", "published/file"]


def test_released_packages_are_open_to_researchers_and_what_waits_to_nobody(
    tmp_path: Path,
) -> None:
    for name in ("q_1/release/data", "q_1/build", "q_2/build", "keys", "requests"):
        (tmp_path / "extracts" / name).mkdir(parents=True)
        (tmp_path / "extracts" / name / "file").touch()
    (tmp_path / "extracts" / "ledger.jsonl").touch()
    for path in [*(tmp_path / "extracts").rglob("*"), tmp_path / "extracts"]:
        path.chmod(0o700 if path.is_dir() else 0o600)

    def modes(*names: str) -> list[int]:
        folder = tmp_path / "extracts"
        return [(folder / name).stat().st_mode & 0o777 for name in names]

    settings_file = tmp_path / "rapport.toml"
    settings_file.write_text('[security]\nshared_read = ["releases"]\n')
    settings_file.chmod(0o600)
    settings = load_settings({"RAPPORT_HOME": str(tmp_path)})
    share(settings)
    assert modes(".", "q_1", "keys", "keys/file") == [0o710, 0o710, 0o750, 0o640]
    assert modes("q_1/release", "q_1/release/data/file") == [0o750, 0o640]
    closed = ("q_1/build", "q_2", "q_2/build/file", "ledger.jsonl", "requests")
    assert not [mode for mode in modes(*closed) if mode & 0o077]
    assert too_open(settings) == ([], [])
    (tmp_path / "extracts" / "q_1" / "build").chmod(0o750)
    assert too_open(settings)[0] == ["extracts/q_1/build"]
    settings_file.write_text("")
    off = load_settings({"RAPPORT_HOME": str(tmp_path)})
    assert "extracts/q_1/release" in too_open(off)[0]
    share(off)
    assert not [mode for mode in modes(".", "q_1/release", "keys/file") if mode & 0o077]


def test_a_group_that_is_not_there_stops_before_anything_is_published(
    tmp_path: Path,
) -> None:
    (tmp_path / "rapport.toml").write_text(
        '[security]\nshared_read = ["published"]\nshared_group = "no-such-group"\n'
    )
    with pytest.raises(UsageError, match="no such group"):
        share(load_settings({"RAPPORT_HOME": str(tmp_path)}))
    (tmp_path / "rapport.toml").write_text(
        '[security]\nshared_read = ["releases"]\nresearcher_group = "no-such-group"\n'
    )
    with pytest.raises(UsageError, match=r"researcher_group: this machine"):
        share(load_settings({"RAPPORT_HOME": str(tmp_path)}))


def test_a_log_field_that_could_hold_a_value_is_dropped(tmp_path: Path) -> None:
    observe.log_to(tmp_path)
    observe.event("delivery_loaded", source="Jane Doe", n_rows_in=3)
    line = json.loads((tmp_path / "rapport.jsonl").read_text())
    assert line["n_rows_in"] == 3
    assert "Doe" not in json.dumps(line)


def test_engine_messages_lose_what_they_quote() -> None:
    said = observe.redact("Could not convert string 'Jane Doe' to DATE, row 123456")
    assert "Jane" not in said
    assert "123456" not in said
    assert "Could not convert" in said


def test_the_engine_makes_the_same_keys() -> None:
    """The SQL form, for millions of ids, against the plain one."""
    import duckdb

    keys = KeyRing(bytes(range(32)))
    ids = ["1", "A-1", "0000123", "x y", "~", "a'b", "z" * 128, "M" + "9" * 20]
    digest, key, pads = keys.row_key_sql("entity", "'north'", "id")
    with duckdb.connect() as con:
        con.execute("create table t (entity varchar, id varchar)")
        rows = [(entity, id_) for entity in PREFIXES for id_ in ids]
        con.executemany("insert into t values (?, ?)", rows)
        found = con.execute(
            f"select entity, id, {key} from (select *, {digest} as digest from t)", pads
        ).fetchall()
    assert len(found) == len(rows)
    for entity, id_, made in found:
        assert made == keys.row_key(entity, "north", id_)
