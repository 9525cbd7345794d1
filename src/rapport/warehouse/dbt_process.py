"""dbt in a process of its own that ends with the one that started it.

``python -m rapport.warehouse.dbt_process ARGUMENTS``. The parent holds the other end of
stdin; when that end closes, the parent is gone (killed, say), and a build that nobody
waits for must not hold the working database.
"""

from __future__ import annotations

import os
import sys
import threading


def _end_with_parent() -> None:
    # Not sys.stdin: its lock would be held when the interpreter ends.
    while os.read(0, 1024):
        pass
    os._exit(1)


def main(arguments: list[str]) -> None:
    """Run one dbt command."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from dbt.cli.main import cli

    cli(args=arguments, prog_name="dbt")


if __name__ == "__main__":
    main(sys.argv[1:])
