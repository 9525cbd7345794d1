"""Who hears when a night failed, was refused, or is late: a file, the pages, mail, a hook.

A message holds a code, dates, opaque ids and names of sources: no patient's value has a
way into it. Telling never fails what told: an address that does not answer is noted beside
the alert, which the pages and the digest show until the next good night.
"""

from __future__ import annotations

import json
import os
import smtplib
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from rapport import observe
from rapport.files import private_folder
from rapport.settings import Settings, load_settings
from rapport.state import ControlState, Delivery, Run

Code = Literal[
    "night_failed", "night_refused", "night_late", "night_slow", "export_late"
]
# An export is late once it is a quarter later than its source has been in a month; of
# fewer deliveries nothing is learned (ADR 57).
_LEARN_DAYS, _FEWEST_DELIVERIES, _LATER_BY = 30, 5, 1.25
_LATE_AFTER = timedelta(hours=24)


@dataclass(frozen=True)
class Alert:
    """One thing that a person should hear of, once a day.

    Attributes:
        code: what it is.
        about: the date of the night, or the source.
        text: what happened and what to do, in a sentence.
        at: when it was told, UTC.
        unsent: the ways that did not answer (``webhook``, ``email``).
    """

    code: Code
    about: str
    text: str
    at: str
    unsent: tuple[str, ...] = ()


def tell(settings: Settings, code: Code, about: str, text: str) -> bool:
    """Tell of something, unless the same was told in the last day; say whether it was."""
    now = datetime.now(UTC)
    since = (now - _LATE_AFTER).isoformat(timespec="seconds")
    if any(
        (old.code, old.about) == (code, about) and old.at >= since
        for old in alerts(settings)
    ):
        return False
    alert = Alert(code, about, text, now.isoformat(timespec="seconds"))
    unsent = tuple(
        name
        for name, send in (("webhook", _call), ("email", _mail))
        if not send(settings, alert)
    )
    _write(settings, Alert(**{**asdict(alert), "unsent": unsent}))
    observe.event("alert_told", status=code, n_failed=len(unsent))
    return True


def alerts(settings: Settings) -> list[Alert]:
    """List every alert that was told, oldest first."""
    path = _path(settings)
    if not path.exists():
        return []
    lines = path.read_text("utf-8").splitlines()
    return [_read(json.loads(line)) for line in lines if line.endswith("}")]


def standing(settings: Settings) -> list[str]:
    """Return the sentences of the alerts that came after the last good night."""
    since = max(_published(ControlState(settings.home).nights()), default=None)
    return [
        alert.text
        for alert in alerts(settings)
        if since is None or datetime.fromisoformat(alert.at) > since
    ]


def tell_of_last_night(settings: Settings) -> bool:
    """Tell of the last run, when it was refused or did not come to its end."""
    runs = ControlState(settings.home).nights()
    if not runs or runs[-1].outcome == "published":
        return False
    run = runs[-1]
    if run.outcome == "refused":
        return tell(
            settings,
            "night_refused",
            run.as_of.isoformat(),  # it is judged again within the hour, by a run anew
            f"The gate refused the night of {run.as_of}; the earlier snapshot stands. "
            "rapport status says which check and what to do.",
        )
    return tell(
        settings,
        "night_failed",
        run.as_of.isoformat(),
        f"The night of {run.as_of} did not come to its end; the earlier snapshot stands. "
        "rapport status and logs/rapport.jsonl say at which step; rapport night runs it "
        "again.",
    )


def tell_of_the_morning(settings: Settings, now: datetime) -> int:
    """Tell of a snapshot that is late, and of each source whose export is.

    Args:
        now: an aware moment, the morning's.

    Returns:
        How many alerts were told.
    """
    state = ControlState(settings.home)
    told = 0
    deliveries = state.deliveries()
    if deliveries and _is_late(state.nights(), now):
        told += tell(
            settings,
            "night_late",
            now.date().isoformat(),
            "No night was published in the last 24 hours. rapport status says what the "
            "last one did; docs/runbooks/late-export.md says what to look at.",
        )
    for source, due in late_sources(deliveries, now).items():
        told += tell(
            settings,
            "export_late",
            source,
            f"Source {source} has delivered nothing since {due}: later than it has been "
            "in a month. docs/runbooks/late-export.md says what to look at.",
        )
    return told


def _is_late(runs: Sequence[Run], now: datetime) -> bool:
    return not any(now - end < _LATE_AFTER for end in _published(runs))


def _published(runs: Sequence[Run]) -> list[datetime]:
    """Return when each published night ended."""
    return [run.ended_at for run in runs if run.outcome == "published" and run.ended_at]


def late_sources(deliveries: Sequence[Delivery], now: datetime) -> dict[str, date]:
    """Return the last day of each source whose next delivery is later than usual."""
    moments: dict[str, list[datetime]] = {}
    for delivery in deliveries:
        if now - delivery.received_at <= timedelta(days=_LEARN_DAYS):
            moments.setdefault(delivery.source, []).append(delivery.received_at)
    late = {}
    for source, said in sorted(moments.items()):
        times = sorted(set(said))
        if len(times) < _FEWEST_DELIVERIES:
            continue
        longest = max(b - a for a, b in pairwise(times))
        if now - times[-1] > max(longest * _LATER_BY, _LATE_AFTER):
            late[source] = times[-1].date()
    return late


async def night_is_slow(**kwargs: Any) -> None:
    """Tell that a night's run is past its deadline: what Airflow calls then.

    It calls for a run that failed in time too, whose deadline it keeps: that one was told
    of when it failed.

    Args:
        kwargs: Airflow's own; ``context`` holds the run as it is at the deadline.
    """
    run = kwargs.get("context", {}).get("dag_run", {})
    if run.get("state", "running") not in ("queued", "running"):
        return
    settings = load_settings()
    runs = ControlState(settings.home).nights()
    tell(
        settings,
        "night_slow",
        runs[-1].as_of.isoformat() if runs else "none",
        f"A night runs for longer than {settings.live.deadline_minutes} minutes "
        "([live] deadline_minutes). rapport status says at which step it is.",
    )


def _path(settings: Settings) -> Path:
    return settings.home / "state" / "alerts.jsonl"


def _write(settings: Settings, alert: Alert) -> None:
    path = _path(settings)
    private_folder(path.parent)
    handle = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(alert)) + "\n")


def _read(said: dict[str, Any]) -> Alert:
    return Alert(**{**said, "unsent": tuple(said["unsent"])})


def _call(settings: Settings, alert: Alert) -> bool:
    url = settings.alerts.webhook_url
    if url is None:
        return True
    body = {
        "code": alert.code,
        "about": alert.about,
        "text": alert.text,
        "at": alert.at,
    }
    request = urllib.request.Request(
        url,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(
            request, timeout=settings.alerts.timeout_seconds
        ) as answer:
            return bool(200 <= answer.status < 400)
    except (OSError, ValueError):
        return False


def _mail(settings: Settings, alert: Alert) -> bool:
    said = settings.alerts
    if not said.email_to:
        return True
    message = EmailMessage()
    message["Subject"] = f"rapport: {alert.code.replace('_', ' ')}"
    message["From"] = said.email_from
    message["To"] = ", ".join(said.email_to)
    message.set_content(alert.text + "\n")
    try:
        with smtplib.SMTP(
            said.smtp_host, said.smtp_port, timeout=said.timeout_seconds
        ) as server:
            if said.smtp_starttls:
                server.starttls()
            if said.smtp_user and said.smtp_password_file:
                password = said.smtp_password_file.read_text("utf-8").strip()
                server.login(said.smtp_user, password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException, UnicodeDecodeError):
        return False
    return True
