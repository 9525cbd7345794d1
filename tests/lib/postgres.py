"""A Postgres server of a test's own, on loopback, that ends with it."""

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.live import free_port


def postgres_programs() -> Path | None:
    """Return the folder of the newest Postgres server here; None: there is none."""
    named = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    on_path = shutil.which("initdb")
    found = named[-1] if named else on_path and Path(on_path).resolve()
    return found.parent if found else None


def _version(program: Path) -> int:
    return int(program.parents[1].name)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Start a server on an empty database ``airflow``; give its SQLAlchemy URL.

    Args:
        folder: of the server alone; made here. Postgres refuses to be root's, so what
            root starts is the account's that its package made.
    """
    programs = postgres_programs()
    assert programs is not None
    folder.mkdir(mode=0o700)
    user = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None
    password, said = secrets.token_hex(12), folder / "password"
    said.write_text(password)
    for path in (folder, said):
        if user:
            shutil.chown(path, user)
    port = free_port()

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [programs / program, *arguments],
            user=user, cwd="/", check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env={"PGPASSWORD": password, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )  # fmt: skip

    data = f"--pgdata={folder / 'data'}"
    listens = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    run("initdb", data, "--username=airflow", "--auth=scram-sha-256", f"--pwfile={said}")  # fmt: skip
    run("pg_ctl", data, "start", "-w", f"--options={listens}", f"--log={folder / 'log'}")  # fmt: skip
    try:
        run("createdb", "--host=127.0.0.1", f"--port={port}", "--username=airflow", "airflow")  # fmt: skip
        yield f"postgresql+psycopg2://airflow:{password}@127.0.0.1:{port}/airflow"
    finally:
        run("pg_ctl", data, "stop", "-m", "fast")
