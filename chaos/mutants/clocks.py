"""Mistakes in what a node takes for granted of its own clock."""

from __future__ import annotations

from raft_chaos.chaos.mutants.mutant import Mutant
from raft_chaos.raft.core import Core
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import Message


class ClockGoingBackPanics(Core):
    def receive(self, source: str, message: Message, now_us: int) -> None:
        if now_us < self.now_us:
            raise OverflowError(f"{now_us} µs is earlier than the last input, at {self.now_us} µs")
        super().receive(source, message, now_us)


CLOCKS = (
    Mutant(
        "clock_going_back_panics",
        "the time since the last input is taken to be never negative: a clock that goes back ends the node",
        "TiKV #859, #10544",
        ("unexpected_exit",),
        Parts(core=ClockGoingBackPanics),
    ),
)
