"""What the pipelines hand to each other, their doorbells, and their clock."""

from airflow.sdk import Asset, AssetWatcher

from rapport.inbox_trigger import InboxTrigger, RequestTrigger
from rapport.settings import load_settings

_SETTINGS = load_settings()
LIVE = _SETTINGS.live

INBOX = Asset(
    "rapport_inbox",
    uri="x-rapport://inbox",
    watchers=[
        AssetWatcher(
            name="inbox_doorbell",
            trigger=InboxTrigger(directory=str(_SETTINGS.home / "inbox")),
        )
    ],
)
REQUESTS = Asset(
    "rapport_requests",
    uri="x-rapport://requests",
    watchers=[
        AssetWatcher(
            name="requests_doorbell",
            trigger=RequestTrigger(
                directory=str(_SETTINGS.home / "extracts" / "requests")
            ),
        )
    ],
)
BRONZE = Asset("rapport_bronze", uri="x-rapport://bronze")
SNAPSHOT = Asset("rapport_snapshot", uri="x-rapport://snapshot")
RELEASE = Asset("rapport_release", uri="x-rapport://release")
