"""The reads that wait at a leader (thesis, §6.4): for the next round, for the answers to one, for the log."""

from __future__ import annotations

from typing import Any, NamedTuple


class ReadEnd(NamedTuple):
    """The end of a read: it may be answered from the applied state now, or it is refused. `token` is the caller's."""

    token: Any
    is_refused: bool


class WaitingReads:
    """Reads in the order in which they came, by how far they are. The first of them came in leadership `term`.

    Invariant: read indexes never decrease from `confirmed` to `confirming`, since a commit index does not.
    """

    __slots__ = ("asked", "confirmed", "confirming", "read_index", "term")

    def __init__(self) -> None:
        self.term = 0
        self.asked: list[Any] = []  # the next round begins after them
        self.confirming: list[Any] = []  # the running round began after them
        self.read_index = 0  # of those that the running round confirms
        self.confirmed: list[tuple[int, Any]] = []  # their read indexes may not be applied yet

    def __len__(self) -> int:
        return len(self.asked) + len(self.confirming) + len(self.confirmed)

    def ask(self, token: Any, term: int) -> None:
        """A read came. If some of an earlier leadership have not ended yet, it will be refused with them."""
        if not self:
            self.term = term
        self.asked.append(token)

    def begin(self, read_index: int) -> None:
        """A round begins, and none runs."""
        assert not self.confirming
        self.asked, self.confirming, self.read_index = [], self.asked, read_index

    def confirm(self) -> None:
        """The running round has confirmed the leadership."""
        self.confirmed += [(self.read_index, token) for token in self.confirming]
        self.confirming = []

    def applied_up_to(self, index: int) -> list[ReadEnd]:
        """Takes out the confirmed reads whose index is applied."""
        place = 0
        while place < len(self.confirmed) and self.confirmed[place][0] <= index:
            place += 1
        done, self.confirmed = self.confirmed[:place], self.confirmed[place:]
        return [ReadEnd(token, False) for _, token in done]

    def refuse(self) -> list[ReadEnd]:
        """Takes out all of them: the leadership is over."""
        tokens = [*(token for _, token in self.confirmed), *self.confirming, *self.asked]
        self.asked, self.confirming, self.confirmed = [], [], []
        return [ReadEnd(token, True) for token in tokens]
