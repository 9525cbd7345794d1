"""dbt in a process of its own, loaded ahead, that ends with the one that started it.

``python -m rapport.warehouse.dbt_process``. The first line of stdin is a JSON list of
options that parse and build share; the project is parsed at once, while deliveries are
still taken in. The second is a JSON list: the key of encrypted files, or an empty text,
and dbt's arguments; it starts the command.
When stdin closes, the parent is gone (killed, say), and a build that nobody waits for
must not hold the working database.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading

from rapport.settings import give_dbt_key


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


def main() -> None:
    """Parse the project, wait for the word, run one dbt command."""
    # It ends with its one command, and what it loads lives as long: looking for garbage
    # among that took a tenth of its time.
    gc.disable()
    shared = _line()
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    # A project that does not parse is told by the command itself, which parses again.
    parsed = (
        dbtRunner()
        .invoke(
            ["--quiet", "--log-level-file", "none", "--no-write-json", "parse", *shared]
        )
        .result
    )
    key, *arguments = _line()
    if key:
        give_dbt_key(key)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    manifest = parsed if isinstance(parsed, Manifest) else None
    outcome = dbtRunner(manifest=manifest).invoke([*arguments, *shared])
    if outcome.exception:  # of a model, the record says more
        print(outcome.exception)
    sys.exit(0 if outcome.success else 1)


if __name__ == "__main__":
    main()
