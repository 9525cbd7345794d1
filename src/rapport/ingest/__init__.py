"""The door: deliveries in, typed and keyed bronze out, everything accounted for."""

from rapport.ingest.inbox import Waiting, discover
from rapport.ingest.load import Outcome, load_delivery

__all__ = ["Outcome", "Waiting", "discover", "load_delivery"]
