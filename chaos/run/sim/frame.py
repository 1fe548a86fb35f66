"""A frame on its way through the simulated network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from raft_chaos.chaos.run.sim.network import Link


class Frame(msgspec.Struct, gc=False):
    """One message on its way. `payload` is the message itself, or None if a real socket holds it.

    It is on the link's nth `connection`, and lost if that breaks. `flips` are the places of bits that flipped.
    """

    sender: str
    sender_inc: int
    number: int
    to: str
    payload: Any
    link: Link
    void: bool = False
    connection: int = 0
    flips: tuple[float, ...] = ()
