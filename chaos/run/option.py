"""One option that a user gave: why it cannot be used, in words for whoever gave it.

A message names other options in its text as «world sim» or «mutant». `OptionError` spells these names as keywords
(world='sim'), as the Python API has them, and for the command line as options (--world sim).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from raft_chaos.raft.state.features import FEATURES, Features

if TYPE_CHECKING:
    from raft_chaos.raft.state.timing import Timing

HEARTBEATS_PER_TIMEOUT = 3
NO_FEATURE = "none"

_MENTIONED = re.compile(r"«(\w+)(?: ([^»]+))?»")


class OptionError(ValueError):
    """An option that cannot be used. The message names it, says what is wrong and what was expected."""

    def __init__(self, option: str, wrong: str) -> None:
        self._option, self._wrong = option, wrong
        super().__init__(f"{option}: {_MENTIONED.sub(_as_keyword, wrong)}")

    def __reduce__(self) -> tuple[type[OptionError], tuple[str, str]]:
        """It can be sent to another process."""
        return OptionError, (self._option, self._wrong)

    def on_the_command_line(self) -> str:
        """The message with the options as they are on a command line."""
        return f"{word(self._option)}: {_MENTIONED.sub(_as_words, self._wrong)}"


def _as_keyword(mention: re.Match[str]) -> str:
    return mention[1] if mention[2] is None else f"{mention[1]}={mention[2]!r}"


def _as_words(mention: re.Match[str]) -> str:
    return word(mention[1]) if mention[2] is None else f"{word(mention[1])} {mention[2]}"


def word(option: str) -> str:
    """The option as a word of a command line."""
    return "--" + option.replace("_", "-")


def known(option: str, value: Any, there: Iterable[Any]) -> Any:
    """The value, if there is such a one."""
    there = list(there)
    if value not in there:
        raise OptionError(option, f"there is no {value!r}; {hint(value, there)}")
    return value


def hint(name: Any, there: Iterable[Any]) -> str:
    """The name that was probably meant, or all that there are."""
    names = [str(one) for one in there]
    near = get_close_matches(str(name), names, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"


def features_of(features: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """The names of features that somebody chose ("pre_vote,check_quorum", or several names); "none" is none of them.
    None: nobody chose."""
    if features is None:
        return None
    names = features.split(",") if isinstance(features, str) else features
    chosen = tuple(name for name in map(str.strip, names) if name and name != NO_FEATURE)
    for name in chosen:
        known("features", name.partition("=")[0], (*FEATURES, NO_FEATURE))
    try:
        Features.of(chosen)
    except ValueError as error:
        raise OptionError("features", str(error)) from None
    return chosen


def timing_of(
    election_timeout: Any = "150-300", heartbeat: int | None = None, heartbeats: int = HEARTBEATS_PER_TIMEOUT
) -> Timing:
    """Election timeouts ("150-300" or a pair) and heartbeats in ms; a least timeout has so many heartbeats."""
    pair = re.split(r"-|\.\.", election_timeout) if isinstance(election_timeout, str) else election_timeout
    try:
        least, most = (int(ms) for ms in pair)
    except (TypeError, ValueError):
        least, most = 0, 0
    if not 0 < least <= most:
        raise OptionError(
            "election_timeout",
            f"expected two numbers of milliseconds in order, such as 150-300, got {election_timeout!r}",
        )
    from raft_chaos.raft.state.timing import Timing  # most commands report errors, and begin without it

    try:
        return Timing(least * 1000, most * 1000, least * 1000 // heartbeats if heartbeat is None else heartbeat * 1000)
    except ValueError as error:
        raise OptionError("heartbeat", str(error)) from None
