"""repeated_answers: a command that arrives again gets the answer that it got before, or is refused."""

from __future__ import annotations

from raft_chaos.invariants.checkers.base import Checker, Handlers
from raft_chaos.invariants.events import AnsweredAgain


class RepeatedAnswers(Checker):
    """A late duplicate of a command, delivered by the network after newer ones, must not be taken for the latest.

    A refusal is always right, since the client has its answer. What failed the first time must not be carried out now.
    Where the system names the log entries of its answers, these must be equal, too: two commands may happen to have the
    same result.
    """

    invariant = "repeated_answers"
    rule = "A server that has processed a command's serial number responds with the result of that command (§8)."
    nothing_judged = "no command arrived again"
    only_if_judged = True

    def handlers(self) -> Handlers:
        return {AnsweredAgain: self._on_answer}

    def _on_answer(self, event: AnsweredAgain) -> None:
        self.judged += 1
        if event.refused:
            return
        if event.first_refused:
            self.violate(f"{event.op} had failed and, when it arrived again, it was carried out", event)
        elif event.value != event.first_value:
            self.violate(
                f"{event.op} was answered {event.first_value!r} and, when it arrived again, {event.value!r}", event
            )
        elif event.index is not None and event.first_index is not None and event.index != event.first_index:
            self.violate(
                f"{event.op} was answered with entry {event.first_index} and, when it arrived again, with entry "
                f"{event.index}, which holds another command",
                event,
            )
