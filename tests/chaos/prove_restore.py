"""Prove: bronze, state and a backup of the vault give the same snapshot on another machine.

``make prove``. A line of ``records/restore.jsonl`` is one restore, timed, as
docs/runbooks/restore-on-a-new-machine.md tells it: of the small clinic of the other proofs,
and of the tracked sample clinic of 320 clients.
"""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import ROOT, Home
from lib.proving import prove
from lib.snapshots import published
from lib.two_nights import TONIGHT, TwoNights

PASSPHRASE = "four words of a person"
SAMPLE = ROOT / "data" / "sample" / "inbox"


def restore(old: Home, new: Home, safe: Path) -> dict[str, Any]:
    """Back an old home up, lay a new one from that, and publish; return seconds."""
    os.environ["RAPPORT_VAULT_PASSPHRASE"] = PASSPHRASE
    began = time.monotonic()
    old.run("vault", "backup", "--out", str(safe / "vault.backup"))
    shutil.copytree(old.path / "bronze", safe / "bronze")
    shutil.copytree(old.path / "state" / "backup", safe / "state" / "backup")
    backed_up = time.monotonic()
    newest = max((safe / "state" / "backup").glob("rapport.r_*.sqlite"))
    (new.path / "state").mkdir(mode=0o700, parents=True)
    shutil.copytree(safe / "bronze", new.path / "bronze")
    shutil.copyfile(newest, new.path / "state" / "rapport.sqlite")
    new.run("vault", "restore", str(safe / "vault.backup"))
    new.run("doctor")
    laid = time.monotonic()
    new.run("night", "--as-of", TONIGHT)
    return {
        "backup_s": round(backed_up - began, 1),
        "lay_and_check_s": round(laid - backed_up, 1),
        "night_s": round(time.monotonic() - laid, 1),
        "same_tables": published(new.path) == published(old.path),
    }


def trial(nights: TwoNights, folder: Path, number: int) -> dict[str, Any]:
    """Restore the small clinic, then the sample."""
    (folder / "safe").mkdir()
    if number % 2:
        old = Home(folder / "old")
        shutil.copytree(SAMPLE, old.path / "inbox")
        old.run("night", "--as-of", TONIGHT)
    else:
        old = nights.published_home(folder / "old")
    line = restore(old, Home(folder / "new"), folder / "safe")
    clinic = "the sample, 320 clients" if number % 2 else "12 clients"
    # No canary was planted in the sample: there is nothing to search for.
    if number % 2:
        shutil.rmtree(old.path)
        shutil.rmtree(folder / "new")
    return {"n": 1, "clinic": clinic, **line, "good": line["same_tables"]}


if __name__ == "__main__":
    sys.exit(prove("restore", 2, trial))
