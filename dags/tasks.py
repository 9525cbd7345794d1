"""Tasks: each calls one step of ``rapport.night`` and returns counts and opaque ids.

A step's own error is told in its own words; when no retry can help, the task fails at
once. Of any other error only its type and its place are told. What a task returns is checked: nothing else may reach Airflow's store.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from assets import RELEASE

_OPAQUE = re.compile(r"^[a-z0-9_]{1,48}$")
LAST_FAILURE: dict[str, Any] = {}


def is_safe(value: object) -> bool:
    """Tell whether a value is a number, a code, an opaque id, or a flat box of those."""
    if isinstance(value, dict):
        return all(is_safe(k) and is_safe(v) for k, v in value.items())
    if isinstance(value, list):
        return all(is_safe(v) and not isinstance(v, list | dict) for v in value)
    if isinstance(value, str):
        return bool(_OPAQUE.match(value))
    return isinstance(value, int | float | bool)


def step(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a step with the settings; map its errors to what Airflow does next."""

    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        from rapport.errors import RapportError
        from rapport.observe import place_of
        from rapport.settings import load_settings

        try:
            result = function(load_settings(), *arguments, **named)
        except RapportError as error:
            LAST_FAILURE.update(
                exit_code=int(error.exit_code),
                reason=error.reason,
                message=error.message,
                next_step=error.next_step,
            )
            kind = AirflowException if error.is_retryable else AirflowFailException
            raise kind(f"{error.reason}: {error.message}") from None
        except Exception as error:
            # Its text may quote a row: Airflow keeps type, module and line.
            module, line = place_of(error.__traceback__)
            said = f"unexpected {type(error).__name__} in {module}, line {line}"
            LAST_FAILURE.update(exit_code=1, reason="unexpected", message=said)
            raise AirflowException(said) from None
        if not is_safe(result):
            raise AirflowFailException("a task may return counts and opaque ids only")
        return result

    del run.__wrapped__  # Airflow reads the signature: the settings are not an argument
    return run


def _call(name: str) -> Callable[..., Any]:
    def call(settings: Any, *arguments: Any) -> Any:
        from rapport import night

        result = getattr(night, name)(settings, *arguments)
        return dict(result) if hasattr(result, "keys") else result

    return step(call)


def _step_task(name: str, **options: Any) -> Any:
    call = _call(name)

    @task(task_id=name, pool="warehouse", **options)
    def one_step(run: str) -> dict[str, Any]:
        return call(run)

    return one_step


@task(pool="warehouse")
def discover_deliveries() -> list[str]:
    """List complete deliveries that the ledger does not know."""
    return _call("discover_deliveries")()


@task(pool="warehouse", map_index_template="{{ batch_id }}")
def load_delivery(batch_id: str) -> dict[str, Any]:
    """Take one delivery through the door."""
    return _call("load_delivery")(batch_id)


@task(pool="warehouse")
def start_run() -> str:
    """Begin a run; when there is nothing new, the one that stands."""
    return _call("start_night")()


@task(pool="warehouse")
def check_morning() -> dict[str, Any]:
    """Tell of a late snapshot and of late exports."""
    return _call("check_morning")()


def tell_of_failure(context: Any) -> None:
    """Tell of a night that ended badly: Airflow calls it when a run failed."""
    from rapport.night import tell_of_failure as tell
    from rapport.settings import load_settings

    tell(load_settings())


def daily(clock: str) -> str:
    """Return the cron line of a time of day (``HH:MM``)."""
    hour, minute = clock.split(":")
    return f"{int(minute)} {int(hour)} * * *"


build = _step_task("build")
validate = _step_task("validate")
publish = _step_task("publish")
dashboard = _step_task("dashboard")
digest = _step_task("digest")


def _call_extract(name: str) -> Callable[..., Any]:
    def call(settings: Any, *arguments: Any) -> Any:
        from rapport.extracts import lifecycle

        return getattr(lifecycle, name)(settings, *arguments)

    return step(call)


@task(pool="warehouse")
def prepare_requests(only: str) -> list[str]:
    """Build what lies in extracts/requests; list the requests that wait for a person."""
    from datetime import date

    return _call_extract("prepare_requests")(date.today(), only)


@task(pool="warehouse")
def report_figures(request_id: str) -> dict[str, Any]:
    """Return the figures of a disclosure report: counts and measures alone."""
    return _call_extract("report_figures")(request_id)


@task(pool="warehouse", outlets=[RELEASE])
def settle_extract(request_id: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Approve and release, or refuse, as the person who answered decided."""
    from datetime import date

    chosen = answer["chosen_options"][0]
    by = (answer["responded_by_user"] or {}).get("name", "")
    reason = str(answer["params_input"].get("reason_to_refuse", ""))
    settle = _call_extract("settle_extract")
    return settle(
        request_id, chosen.lower(), by, reason.replace("_", " "), date.today()
    )


def _house_task(name: str) -> Any:
    def call(settings: Any) -> Any:
        from rapport import housekeeping

        return dict(getattr(housekeeping, name)(settings))

    run = step(call)

    @task(task_id=name, pool="warehouse")
    def one_step() -> dict[str, Any]:
        return run()

    return one_step


retire = _house_task("retire")
rotate_logs = _house_task("rotate_logs")
clean_airflow = _house_task("clean_airflow")
verify = _house_task("verify")
rehearse_restore = _house_task("rehearse_restore")
vacuum = _house_task("vacuum")
