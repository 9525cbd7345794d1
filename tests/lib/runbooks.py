"""The commands of a runbook, run as they stand there, but for the names of a place."""

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

# A night costs half a minute, and has tests of its own: the pages' last line is told apart.
_NIGHTS_APART = 'rapport() { if [ "$1" = night ]; then echo "night: $*"; else command rapport "$@"; fi; }'


def blocks(page: str) -> list[str]:
    """Return the blocks of commands of docs/runbooks/PAGE.md, in order."""
    text = (ROOT / "docs" / "runbooks" / f"{page}.md").read_text("utf-8")
    found = re.findall(
        r"^ *(?:\d+\. )?```(?:sh)?\n(.*?)^ *```", text, flags=re.S | re.M
    )
    assert found, page
    return found


def run_block(
    page: str, place: int, home: Path, *, said: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Run one block of a page in a home; stop at the first command that fails.

    Args:
        page: its name.
        place: which of its blocks.
        home: RAPPORT_HOME.
        said: what stands for the page's own examples.
    """
    script = blocks(page)[place]
    for example, mine in (said or {}).items():
        assert example in script, f"{page} no longer says {example}"
        script = script.replace(example, mine)
    binaries = Path(sys.executable).parent
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{_NIGHTS_APART}\n{script}"],
        env=os.environ | {
            "RAPPORT_HOME": str(home),
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "RAPPORT_VAULT_PASSPHRASE": "four words of a person",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
