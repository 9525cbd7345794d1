"""What the pipelines hand to each other, and the doorbell of the inbox."""

from airflow.sdk import Asset, AssetWatcher

from rapport.inbox_trigger import InboxTrigger
from rapport.settings import home_of

INBOX = Asset(
    "rapport_inbox",
    uri="x-rapport://inbox",
    watchers=[
        AssetWatcher(
            name="inbox_doorbell",
            trigger=InboxTrigger(directory=str(home_of() / "inbox")),
        )
    ],
)
BRONZE = Asset("rapport_bronze", uri="x-rapport://bronze")
SNAPSHOT = Asset("rapport_snapshot", uri="x-rapport://snapshot")
RELEASE = Asset("rapport_release", uri="x-rapport://release")
