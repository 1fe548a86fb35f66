"""What resets the election timer of one incarnation, as it reported: each reset starts its wait anew.

Figure 2 names two: AppendEntries from the current leader, and a vote that is granted. The timer also starts when the
node does, when it begins an election of its own (§5.2), and when it leads no longer; a leader has none running. What
the node reports shows all of them:

    its start, its elections, its votes     reported as such
    an election that its leader asked for   TimeoutNow of the term before arrived at that time: no timer ran out
    a question for pre-votes                the same; the election that follows a majority of them has no timer
    the first AppendEntries of a leader     the node reports that it follows this leader
    each further one                        it arrives from the leader that the node follows at that time
    a repeated request of a candidate       it arrives from the node that has this node's vote of this term

A report of a term, role or vote has the time at which that changed, but waits until it is durable; messages may arrive
meanwhile. Such reports keep their order among each other. So all that lies before the last of them is complete, and who
was followed at a moment is told by their times, not by their places among the messages. A message that may have reset
the timer waits for the first report of a later time, which decides it: until then alone, it and the reports of its time
are kept.

Two questions are asked, and each doubt is resolved in the node's favour. The doubt: a message may be of an earlier term
than the one in which its sender leads now, and then it resets nothing.

    `candidacies`   which reset has certainly been the last one before an election? A further AppendEntries counts only
                    if its sender led in no earlier term, so that it can be of none.
    `quiet`         when was the timer certainly not reset? All that comes from the leader that it follows counts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

from raft_chaos.invariants.checkers.messages import FROM_LEADERS
from raft_chaos.invariants.events import Event, MessageReceived, PreVoteStarted, RoleChanged, Started, VoteGranted

Reset: TypeAlias = Started | RoleChanged | PreVoteStarted | VoteGranted | MessageReceived

KEPT_HEARD = 32
"""How many messages of the leader are kept: more than arrive while a write becomes durable."""
KEPT_UNDECIDED = 4096
"""How many messages wait for a report: more than arrive while a write becomes durable on a disk that stalls. A node
reports nothing while a node that was taken out of the cluster asks it for its vote again and again (§6)."""
FOREVER_US = 1 << 62

_E = TypeVar("_E", bound=Event)


class Candidacy(NamedTuple):
    """The node began an election, or asked whether it would win one. `reset` is the last of its own reports that
    certainly reset its timer; `heard` is a later AppendEntries of the leader that it followed in term `term`, if there
    is one."""

    began: RoleChanged | PreVoteStarted
    reset: Reset
    heard: MessageReceived | None
    term: int


@dataclass(slots=True)
class Span:
    """From `from_us` to `to_us` the timer could not run out: it was reset again and again, or did not run. `last` is
    what the node reported at the end."""

    from_us: int
    to_us: int
    last: Reset


class Quiet(NamedTuple):
    """Nothing reset the timer after `last`, at `from_us`, until `to_us`; `ended` is what the node reported then."""

    from_us: int
    to_us: int
    last: Reset
    ended: Reset


class TimerResets:
    """One incarnation, from its start on. Messages are told by `hear` and `be_asked`, and all else by the others.

    `longest_us` is the longest election timeout.
    """

    __slots__ = (
        "_heard",
        "_leader",
        "_longest_us",
        "_others",
        "_recent",
        "_reset",
        "_resets",
        "_roles",
        "_told",
        "_undecided",
        "_votes",
        "candidacies",
        "node",
    )

    def __init__(self, started: Started, longest_us: int) -> None:
        self.node = started.node
        self.candidacies: list[Candidacy] = []
        self._longest_us = longest_us
        self._leader: str | None = None  # as reported so far
        self._reset: Reset = started
        self._resets = [Span(started.t_us, started.t_us, started)]  # by its own reports
        self._heard: list[Span] = []  # by AppendEntries of its leader, never more than `longest_us` apart
        self._recent: deque[MessageReceived] = deque(maxlen=KEPT_HEARD)
        self._undecided: deque[MessageReceived] = (
            deque()
        )  # requests, and AppendEntries of whom it is not known to follow
        self._others: list[Span] = []  # by those that were decided, never more than `longest_us` apart
        self._told: set[tuple[int, int]] = set()  # the term of each TimeoutNow, and when it arrived; only looked up
        self._roles: list[Started | RoleChanged] = [started]
        self._votes: list[Started | VoteGranted] = [started]

    # ---- what it reports --------------------------------------------------------------------------------------------

    def hear(self, event: MessageReceived) -> None:
        """An AppendEntries arrived."""
        if event.sender != self._leader:
            self._wait(event)
            return
        self._recent.append(event)
        self._prolong(self._heard, event)

    def be_asked(self, event: MessageReceived) -> None:
        """A RequestVote arrived."""
        self._wait(event)

    def be_told(self, event: MessageReceived) -> None:
        """A TimeoutNow arrived: in its very term, it makes the node stand at once (thesis, §3.10)."""
        self._told.add((event.term, event.t_us))

    def vote(self, event: VoteGranted) -> None:
        self._complete_until(event.t_us)
        self._votes.append(event)
        self._was_reset(event)

    def ask(self, event: PreVoteStarted) -> None:
        self._stands(event, self._roles[-1])

    def change_role(self, event: RoleChanged) -> None:
        self._complete_until(event.t_us)
        before = self._roles[-1]
        self._roles.append(event)
        self._leader = event.leader
        if isinstance(before, RoleChanged) and before.role == "leader":
            self._was_reset(event, since_us=before.t_us)
        elif event.role == "candidate":
            if isinstance(self._reset, PreVoteStarted) and self._reset.term == event.term:
                self._was_reset(event)  # a majority would vote for it: no timer ran out
            elif (event.term - 1, event.t_us) in self._told:
                self._was_reset(event)  # its leader told it to: no timer ran out. One of an earlier term is no excuse
            else:
                self._stands(event, before)
        elif event.role == "follower" and event.leader is not None:
            self._was_reset(event)

    def _stands(self, event: RoleChanged | PreVoteStarted, before: Started | RoleChanged) -> None:
        self.candidacies.append(Candidacy(event, self._reset, self._last_heard(before, event.t_us), before.term))
        self._was_reset(event)

    def _was_reset(self, event: Reset, since_us: int | None = None) -> None:
        self._reset = event
        self._resets.append(Span(event.t_us if since_us is None else since_us, event.t_us, event))

    def _prolong(self, spans: list[Span], event: MessageReceived) -> None:
        """The event reset the timer: in the last span, if that is no longer ago than the timer may run."""
        if spans and event.t_us - spans[-1].to_us <= self._longest_us:
            spans[-1].to_us, spans[-1].last = event.t_us, event
        else:
            spans.append(Span(event.t_us, event.t_us, event))

    def _wait(self, event: MessageReceived) -> None:
        self._undecided.append(event)
        if len(self._undecided) > KEPT_UNDECIDED:
            self._decide()

    def _complete_until(self, t_us: int) -> None:
        """All reports of a time before `t_us` are known, and no message of such a time will come."""
        while self._undecided and self._undecided[0].t_us < t_us:
            self._decide()
        for reports in (self._roles, self._votes):
            del reports[: max(0, bisect_left(reports, t_us, key=_t_us) - 1)]

    def _decide(self) -> None:
        event = self._undecided.popleft()
        if self._is_reset_by(event):
            self._prolong(self._others, event)

    def _last_heard(self, role: Started | RoleChanged, until_us: int) -> MessageReceived | None:
        """The last AppendEntries of the leader that it follows in this role before `until_us`: one of that very time
        may have come later."""
        if not isinstance(role, RoleChanged) or role.role != "follower":
            return None
        heard = (event for event in reversed(self._recent) if event.t_us < until_us)
        last = next(heard, None)
        is_later = last is not None and last.sender == role.leader and last.t_us > max(role.t_us, self._reset.t_us)
        return last if is_later else None

    # ---- when nothing reset its timer -------------------------------------------------------------------------------

    def quiet(self) -> Iterator[Quiet]:
        """The times of more than `longest_us` in which nothing reset the timer, as far as the reports are complete."""
        undecided = [Span(event.t_us, event.t_us, event) for event in self._undecided if self._is_reset_by(event)]
        spans = [*self._resets, *self._heard, *self._others, *undecided, self._at_the_end()]
        spans.sort(key=lambda span: (span.from_us, span.to_us))
        complete_us = max(self._roles[-1].t_us, self._votes[-1].t_us, self._reset.t_us)
        before = spans[0]
        for span in spans[1:]:
            ends_us = min(span.from_us, complete_us)
            if ends_us - before.to_us > self._longest_us:
                yield Quiet(before.to_us, ends_us, before.last, span.last)
            if _ends(span) > _ends(before):
                before = span

    def _is_reset_by(self, event: MessageReceived) -> bool:
        """Whether the message may have reset the timer: AppendEntries of a node that it follows, but had not reported
        to follow yet; or the request of a node that has its vote, and gets it again if its term is the same."""
        roles = _at(self._roles, event)
        if event.type in FROM_LEADERS:
            return any(isinstance(role, RoleChanged) and role.leader == event.sender for role in roles)
        terms = {role.term for role in roles}  # used only for membership tests
        return any(_for(vote) == event.sender and vote.term in terms for vote in _at(self._votes, event))

    def _at_the_end(self) -> Span:
        """The last thing that is complete; or, if it leads by then, all time from there on."""
        last = self._roles[-1]
        leads = isinstance(last, RoleChanged) and last.role == "leader"
        return Span(last.t_us, FOREVER_US if leads else last.t_us, last)


def _ends(span: Span) -> tuple[int, bool]:
    """When it ends. Of two that end at the same time, one by a report of the node's own tells more."""
    return span.to_us, not isinstance(span.last, MessageReceived)


def _t_us(report: Event) -> int:
    return report.t_us


def _for(vote: Started | VoteGranted) -> str | None:
    return vote.candidate if isinstance(vote, VoteGranted) else vote.voted_for


def _at(reports: Sequence[_E], event: Event) -> Sequence[_E]:
    """What the node was by these reports when the event happened, and by others of the very same time."""
    first, last = (bisect(reports, event.t_us, key=_t_us) for bisect in (bisect_left, bisect_right))
    return reports[max(0, first - 1) : last]
