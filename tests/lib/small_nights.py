"""Nights without the gate, in this process: ingest, build, publish, digest."""

import os
from datetime import date

from conftest import Home
from lib.parsed import lent_parse


def small_night(home: Home, as_of: str) -> str:
    """Publish a night whose data are not the gate's business; return its run."""
    from rapport import night

    run_id = built_night(home, as_of)
    night.publish(settings_of(home), run_id)
    night.digest(settings_of(home))
    return run_id


def built_night(home: Home, as_of: str) -> str:
    """Take a night up to where the gate has passed it; return its run."""
    from rapport import night
    from rapport.state import ControlState

    settings = settings_of(home)
    night.ingest(settings)
    run_id = night.start_run(settings, date.fromisoformat(as_of))
    with lent_parse(home.path):
        night.build(settings, run_id)
    ControlState(home.path).set_run(run_id, "validated")
    return run_id


# Tests of homes run with it in the environment, too (docs/decisions/0045).
_PASSED_ON = "RAPPORT_SECURITY__ENCRYPT_AT_REST"


def settings_of(home: Home):
    from rapport.settings import load_settings

    said = {name: os.environ[name] for name in (_PASSED_ON,) if name in os.environ}
    return load_settings({"RAPPORT_HOME": str(home.path), **said})
