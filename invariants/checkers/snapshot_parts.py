"""How many parts of snapshots a leader sends a follower (§7): for `efficiency`.

A leader sends one part, and the next one when the follower has answered, or the same one again when a heartbeat is due
and no answer has come. So the parts of a leadership are about as many as the answers and the heartbeats together. One
that sends a whole snapshot each time sends the parts times as many.

At most `MOST` + 2 for each answer + 5 for each window (a heartbeat interval): the network may lose answers, or repeat
them; and a clock that jumps or runs fast makes more heartbeats due. A clock that goes back takes no window away. In 120
seeds the right core never sent more than one for each answer, one for each window, and two.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raft_chaos.invariants.events import MessageSent

MOST, FOR_AN_ANSWER, FOR_A_WINDOW = 50, 2, 5


@dataclass(slots=True)
class _To:
    """The parts to one follower, and its answers to parts. `first` was the first part."""

    first: MessageSent
    sent: int = 0
    answers: int = 0
    is_convicted: bool = False


@dataclass(slots=True)
class SnapshotParts:
    """Those of one leadership, by follower. Its last report so far was at `last_us`."""

    last_us: int
    window_us: int
    _led_us: int = 0
    _to: dict[str, _To] = field(default_factory=dict)

    def answered(self, peer: str) -> None:
        if (to := self._to.get(peer)) is not None:
            to.answers += 1

    def sent(self, event: MessageSent) -> tuple[MessageSent, int, int] | None:
        """Counts the part. The first time that they are too many: the first part, how many came since, and how many are
        plausible."""
        to = self._to.get(event.to)
        if to is None:
            to = self._to[event.to] = _To(event)
        to.sent += 1
        self._led_us += max(0, event.t_us - self.last_us)
        self.last_us = event.t_us
        if to.sent <= MOST or to.is_convicted:
            return None
        windows = 1 + self._led_us // self.window_us
        most = MOST + FOR_AN_ANSWER * to.answers + FOR_A_WINDOW * windows
        to.is_convicted = to.sent > most
        return (to.first, to.sent, most) if to.is_convicted else None
