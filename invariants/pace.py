"""How much our own Raft has to send: what `efficiency` must know beside the events."""

from __future__ import annotations

import msgspec


class Pace(msgspec.Struct, frozen=True):
    """A leader sends a heartbeat every `heartbeat_us`, and at most `entries_per_message` entries in one message.
    `clients` give it new ones, each one at a time."""

    heartbeat_us: int
    entries_per_message: int
    clients: int
