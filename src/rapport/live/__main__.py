"""``python -m rapport.live``: the supervisor of the RAPPORT_HOME that is set."""

import os
import signal

from rapport import observe
from rapport.live.supervisor import Supervisor
from rapport.settings import load_settings


def main() -> None:
    """Watch the four processes until told to stop."""
    os.umask(0o077)
    settings = load_settings()
    observe.log_to(settings.home / "logs")
    supervisor = Supervisor(settings)
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.stop)
    supervisor.run()


if __name__ == "__main__":
    main()
