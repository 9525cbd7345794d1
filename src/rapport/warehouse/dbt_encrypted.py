"""dbt's plugin for encrypted files: it attaches them before dbt looks for them.

The key comes by the environment of dbt's own process, under a name that dbt scrubs from
whatever it writes; ``dbt_process`` puts it there.
"""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from rapport.privacy.at_rest import DiskKey
from rapport.settings import dbt_key_of
from rapport.warehouse.connections import attach, unlock


class Plugin(BasePlugin):
    """What dbt-duckdb looks for in this module."""

    def configure_connection(self, conn: Any) -> None:
        """Attach the working, the candidate and the kept database under their key."""
        keys = [DiskKey("dbt", b64decode(dbt_key_of()))]
        unlock(conn, keys)
        assert self.creds is not None
        for one in self.creds.attach or ():
            assert one.alias is not None
            attach(conn, Path(one.path), one.alias, encrypted=True, keys=keys)
