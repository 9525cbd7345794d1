"""dbt in a process of its own, loaded ahead, that ends with the one that started it.

``python -m rapport.warehouse.dbt_process``. The first line of stdin is a JSON list of
options that parse and build share; the project is parsed at once, while deliveries are
still taken in. The second is a JSON list: the key of encrypted files, or an empty text,
and dbt's arguments; it starts the command, whose record is left as ``results.json`` where the
process stands: dbt's own files of a run hold the whole project, which took a second to write.
When stdin closes, the parent is gone (killed, say), and a build that nobody waits for
must not hold the working database.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rapport.settings import give_dbt_key

RECORD = "results.json"


def _end_with_parent() -> None:
    # Not sys.stdin: its lock would be held when the interpreter ends.
    while os.read(0, 1024):
        pass
    os._exit(1)


def _line() -> list[str]:
    """Read one line of stdin, byte by byte: what follows it is not ours to take."""
    said = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        said += byte
    if not byte:
        os._exit(1)
    arguments: list[str] = json.loads(said)
    return arguments


def write_record(results: Iterable[Any]) -> None:
    """Leave what became of each seed and model, in the order in which they ended.

    Args:
        results: dbt's ``RunResult`` of each.
    """
    said = [
        {
            "unique_id": result.node.unique_id,
            "relation": result.node.relation_name,
            "materialized": result.node.config.materialized,
            "status": str(result.status),
            "message": result.message,
            "wall_s": round(result.execution_time, 3),
        }
        for result in results
    ]
    Path(RECORD).write_text(json.dumps(said), encoding="utf-8")


def main() -> None:
    """Parse the project, wait for the word, run one dbt command."""
    # It ends with its one command, and what it loads lives as long: looking for garbage
    # among that took a tenth of its time.
    gc.disable()
    shared = _line()
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    # A project that does not parse is told by the command itself, which parses again.
    silent = ["--log-level-file", "none", "--no-write-json"]
    parsed = dbtRunner().invoke(["--quiet", *silent, "parse", *shared]).result
    key, *arguments = _line()
    if key:
        give_dbt_key(key)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    manifest = parsed if isinstance(parsed, Manifest) else None
    # The caller reads the record: words for nobody cost a second a night.
    outcome = dbtRunner(manifest=manifest).invoke(
        ["--log-level", "none", *silent, *arguments, *shared]
    )
    write_record(getattr(outcome.result, "results", []))
    if outcome.exception:  # of a model, the record says more
        print(outcome.exception)
    sys.exit(0 if outcome.success else 1)


if __name__ == "__main__":
    main()
