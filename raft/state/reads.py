"""The reads that wait at a leader (thesis, §6.4): for the next round, for the answers to one, for the log. And when it
has sent its rounds, on which its lease rests (§6.4.1)."""

from __future__ import annotations

from collections import deque
from operator import itemgetter
from typing import Any, NamedTuple

_read_index = itemgetter(0)
LONG_AGO_US = -(1 << 62)


class ReadEnd(NamedTuple):
    """The end of a read: it may be answered from the applied state now, or it is refused. `token` is the caller's."""

    token: Any
    is_refused: bool


class WaitingReads:
    """Reads in the order in which they came, by how far they are. The first of them came in leadership `term`.

    Invariant: read indexes never decrease along `confirmed`.
    """

    __slots__ = ("asked", "confirmed", "confirming", "count", "hoping", "read_index", "round", "term")

    def __init__(self) -> None:
        self.count = 0
        """How many wait; an attribute, because each step of a node asks."""
        self.term = 0
        self.hoping: list[Any] = []  # they need no round if there is a lease
        self.asked: list[Any] = []  # the next round begins after them
        self.confirming: list[Any] = []  # the running round began after them
        self.round = 0  # the number of that round
        self.read_index = 0  # of those that the running round confirms
        self.confirmed: list[tuple[int, Any]] = []  # their read indexes may not be applied yet

    def ask(self, token: Any, term: int) -> None:
        """A read came. If some of an earlier leadership have not ended yet, it will be refused with them."""
        self._one_more(term)
        self.asked.append(token)

    def hope(self, token: Any, term: int) -> None:
        """The same, for one that is answered by a lease if there is one."""
        self._one_more(term)
        self.hoping.append(token)

    def _one_more(self, term: int) -> None:
        if not self.count:
            self.term = term
        self.count += 1

    def settle(self, read_index: int | None) -> None:
        """There is a lease, by which those that hope for one have this read index; or there is none."""
        if read_index is None:
            self.asked += self.hoping
        else:
            self.confirmed += [(read_index, token) for token in self.hoping]
        self.hoping = []

    def begin(self, read_index: int, number: int) -> None:
        """Round `number` begins, and none runs."""
        assert not self.confirming
        self.asked, self.confirming, self.read_index, self.round = [], self.asked, read_index, number

    def confirm(self) -> None:
        """The running round has confirmed the leadership."""
        self.confirmed += [(self.read_index, token) for token in self.confirming]
        self.confirmed.sort(key=_read_index)  # a read by a lease may have overtaken them, with a later index
        self.confirming = []

    def applied_up_to(self, index: int) -> list[ReadEnd]:
        """Takes out the confirmed reads whose index is applied."""
        place = 0
        while place < len(self.confirmed) and self.confirmed[place][0] <= index:
            place += 1
        done, self.confirmed = self.confirmed[:place], self.confirmed[place:]
        self.count -= place
        return [ReadEnd(token, False) for _, token in done]

    def refuse(self) -> list[ReadEnd]:
        """Takes out all of them: the leadership is over."""
        tokens = [*(token for _, token in self.confirmed), *self.confirming, *self.asked, *self.hoping]
        self.hoping, self.asked, self.confirming, self.confirmed, self.count = [], [], [], [], 0
        return [ReadEnd(token, True) for token in tokens]


class SentRounds:
    """When a leader sent its latest rounds, by number, which grows; those are kept that may still give a lease."""

    __slots__ = ("_sent",)

    def __init__(self) -> None:
        self._sent: deque[tuple[int, int]] = deque()

    def sent(self, number: int, now_us: int, kept_us: int) -> None:
        """Round `number` is sent now; those that are older than `kept_us`, a lease's length, give none any more."""
        while self._sent and now_us - self._sent[0][1] > kept_us:
            self._sent.popleft()
        self._sent.append((number, now_us))

    def sent_us(self, number: int) -> int:
        """When this round was sent; long ago, if that is not known any more."""
        return next((sent_us for sent, sent_us in reversed(self._sent) if sent == number), LONG_AGO_US)

    def clear(self) -> None:
        """Another leadership begins."""
        self._sent.clear()
