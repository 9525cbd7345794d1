"""The door: deliveries in, typed and keyed bronze out, everything accounted for.

It imports nothing here, so that the doorbell of the inbox loads no engine.
"""
