"""What every Airflow process of one RAPPORT_HOME is told, and its metadata."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from rapport import observe
from rapport.errors import RapportError, SettingsError
from rapport.files import private_folder, write_whole
from rapport.settings import Settings

# Each process of the live system carries the name of its home here: `down` knows it so,
# whoever started it, and leaves a `make night` alone.
MARK = "LIVE_SYSTEM_OF"

# The pool in which every step waits for the one writer.
# Below airflow/: the version that laid the metadata, and where they lie on a server.
_LAID = "migrated"
_ONE_WRITER = ("warehouse", "1", "one writer", "--include-deferred")


def airflow_home(settings: Settings) -> Path:
    """Return ``airflow/`` of a RAPPORT_HOME, made with mode 0700."""
    home = settings.home / "airflow"
    private_folder(home)
    return home


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of every Airflow process of one RAPPORT_HOME.

    A database of ``live.database_url_file`` takes the place of SQLite; the log servers of
    scheduler and triggerer stay closed by their own flags.
    """
    home = airflow_home(settings)
    address = f"http://{settings.live.host}:{settings.live.port}"
    environment = {
        **os.environ,
        "RAPPORT_HOME": str(settings.home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.project_root / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        # Each look at a file starts a process, day and night; [live] is read by it, and
        # pipelines come with a release, which restarts the system.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(
            home / "passwords.json"
        ),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata_url(settings),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.home / "logs" / "airflow"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
            settings.home / "logs" / "airflow" / "dag_processor"
        ),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__API__HOST": settings.live.host,
        "AIRFLOW__API__PORT": str(settings.live.port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__SECRET_KEY": _secret(home / "api.secret"),
        "AIRFLOW__API__EXPOSE_STACKTRACE": "False",
        "AIRFLOW__API__EXPOSE_CONFIG": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": _secret(home / "jwt.secret"),
        "AIRFLOW__OPENLINEAGE__DISABLE_SOURCE_CODE": "True",
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "rapport",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {
                "type": "file",
                "log_file_path": str(_lineage(settings)),
                "append": True,
            }
        ),
        "PYTHONPATH": os.pathsep.join(
            str(settings.project_root / folder) for folder in ("dags", "src")
        ),
        "PYTHONWARNINGS": "ignore",
    }
    users = accounts(settings)
    environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] = ",".join(
        f"{name}:{role}" for name, role in users.items()
    )
    return environment


def live_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a process of the live system: Airflow's, and its mark."""
    return {**airflow_environment(settings), **mark(settings)}


def mark(settings: Settings) -> dict[str, str]:
    """Return what marks a process as one of this home's live system."""
    return {MARK: str(airflow_home(settings))}


def accounts(settings: Settings) -> dict[str, str]:
    """Return the role of each account of the web page, by name.

    ``rapport`` runs it; ``viewer`` looks; each of the ``[extracts] approvers`` signs with
    an account of their own name. A name that holds a comma or a colon can't be one.
    """
    named = {
        name: "user"
        for name in settings.extracts.approvers
        if not set(name) & set(",:") and name == name.strip()
    }
    return {**named, "rapport": "admin", "viewer": "viewer"}


def make_passwords(settings: Settings) -> dict[str, str]:
    """Write a password for each account that has none; return the new ones, by name."""
    path = airflow_home(settings) / "passwords.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    wanted = accounts(settings)
    new = {n: secrets.token_urlsafe(12) for n in wanted if n not in known}
    kept = {name: said for name, said in known.items() if name in wanted}
    if new or kept != known:
        write_whole(path, json.dumps({**kept, **new}) + "\n")
    return new


def migrate(environment: dict[str, str], log: Path) -> None:
    """Bring Airflow's metadata up to its version; skipped when that was done before.

    ``airflow/migrated`` says the version, and which server's database where it is one:
    another database is laid anew.

    Raises:
        RapportError: Airflow's own command failed.
    """
    done = Path(environment["AIRFLOW_HOME"]) / _LAID
    said = metadata.version("apache-airflow")
    url = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    if not url.startswith("sqlite:"):
        from sqlalchemy import make_url

        said += f" {make_url(url).render_as_string(hide_password=True)}"
    if done.exists() and done.read_text() == said:
        return
    label = "lay Airflow's metadata (first time)"
    with observe.step("migrate", label), log.open("ab") as out:
        for command in (("db", "migrate"), ("pools", "set", *_ONE_WRITER)):
            ran = subprocess.run(
                [airflow_program(), *command],
                env=environment,
                stdout=out,
                stderr=out,
                check=False,
            )
            if ran.returncode != 0:
                raise RapportError(
                    "Airflow's metadata could not be laid",
                    next_step="its own words are the last lines of"
                    " logs/airflow.log; where live.database_url_file names a server, is it"
                    " up, and is the address right?",
                    reason="airflow_migrate_failed",
                )
    done.write_text(said)


def laid_version(home: Path) -> str:
    """Return the Airflow that laid the metadata of a RAPPORT_HOME; empty: none did."""
    done = home / "airflow" / _LAID
    return done.read_text().split(" ")[0] if done.exists() else ""


def airflow_program() -> str:
    """Return the path of the ``airflow`` command of this environment."""
    return str(Path(sys.executable).with_name("airflow"))


def _secret(path: Path) -> str:
    if not path.exists():
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
    return path.read_text()


def metadata_url(settings: Settings) -> str:
    """Return where Airflow's metadata are: SQLite's file, or the server's database.

    Raises:
        SettingsError: the file can't be read, or holds no address.
    """
    named = settings.live.database_url_file
    if named is None:
        return f"sqlite:///{airflow_home(settings) / 'airflow.db'}"
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = named.read_text("utf-8").strip()
        make_url(url)
        return url
    except (OSError, UnicodeDecodeError, ArgumentError) as error:
        raise SettingsError(
            "live.database_url_file can't be read, or holds no address:"
            f" {type(error).__name__}",
            next_step="it names a file with one line, the address of the database"
            " (docs/how-to/run-in-a-container.md), which this account may read",
        ) from None


def _lineage(settings: Settings) -> Path:
    folder = settings.home / "lineage"
    private_folder(folder)
    return folder / "openlineage.jsonl"
