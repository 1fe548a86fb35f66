"""Splits strings that grow by appending into the written values, where there is only one way to do so.

There is only one way if no written value is a prefix of another (a prefix-free code). Nearly all workloads ensure this
with a separator. Then a string is the value of a put, or the initial "", followed by appended tokens. Each put, and the
unwritten key, begins a *generation*; all strings read in a generation must be prefixes of the longest one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.blocks import Members, Violation
from raft_chaos.invariants.linearizability.operations import Operation


class Generation(NamedTuple):
    """`writer` is its put (None: the initial one). `longest` is the read that returned the longest string."""

    writer: Operation | None
    longest: Operation
    members: Members


class Parsed(NamedTuple):
    generations: list[Generation]
    unobserved: list[Operation]


def parse(
    writers: Mapping[Hashable, list[Operation]],
    appends: Sequence[Operation],
    reads: Mapping[Hashable, list[Operation]],
) -> Parsed | Violation | None:
    """The generations, and the completed writes that no read observed. None if strings can be split in several ways."""
    puts = {str(value): found for value, found in writers.items()}
    tokens: dict[str, list[Operation]] = {}
    for append in appends:
        tokens.setdefault(append.value, []).append(append)
    if not _prefix_free([*puts, *tokens]):
        return None
    lengths = sorted({len(token) for token in tokens}), sorted({len(value) for value in puts})
    by_start: dict[str, list[str]] = {}
    for text in sorted(map(str, reads), key=len, reverse=True):
        start = _start(text, puts, lengths[1])
        by_start.setdefault(start, []).append(text)
    generations: list[Generation] = []
    observed: dict[int, Generation] = {}
    for start, texts in by_start.items():
        found = _generation(start, texts, puts, tokens, lengths[0], reads)
        if not isinstance(found, Generation):
            return found
        generations.append(found)
        for _, _, operation in found.members:
            other = observed.setdefault(operation.number, found)
            if other is not found:
                return _in_both(operation, other.longest, found.longest)
    certain = [o for group in (*puts.values(), *tokens.values()) for o in group if o.status == "ok"]
    return Parsed(generations, [operation for operation in certain if operation.number not in observed])


def _in_both(append: Operation, one: Operation, other: Operation) -> Violation:
    argument = format.contradiction(
        format.sentence(one),
        format.sentence(other),
        f"they begin with different writes, and both show {format.noun(append)}, which happened only once",
    )
    return Violation((one, other), argument)


def _prefix_free(codes: list[str]) -> bool:
    codes.sort()
    return "" not in codes and not any(b.startswith(a) for a, b in pairwise(codes))


def _start(text: str, puts: Mapping[str, list[Operation]], lengths: list[int]) -> str:
    return next((text[:length] for length in lengths if text[:length] in puts), "")


def _generation(
    start: str,
    texts: list[str],
    puts: Mapping[str, list[Operation]],
    tokens: Mapping[str, list[Operation]],
    lengths: list[int],
    reads: Mapping[Hashable, list[Operation]],
) -> Generation | Violation | None:
    """The generation that begins with `start`. `texts` are its strings that were read, longest first."""
    longest = texts[0]
    reader = reads[longest][0]
    members: Members = []
    places = {len(start): 0}
    if start:
        if len(puts[start]) > 1:
            return None
        members.append((0, puts[start][0].called, puts[start][0]))
    writer = puts[start][0] if start else None
    at, used = len(start), set()
    place = 0
    while at < len(longest):
        for size in lengths:
            token = longest[at : at + size]
            if token in tokens:
                break
        else:
            odd = format.shown(longest[at:])
            argument = format.contradiction(
                f"{format.sentence(reader)}, of which {odd} is not composed of written values"
            )
            return Violation((reader,), argument)
        appended = tokens[token]
        if len(appended) > 1:
            return None
        if token in used:
            once = (
                f"it shows {format.shown(token)} more than once, and only {format.name(appended[0])} appended it, once"
            )
            return Violation((reader,), format.contradiction(format.sentence(reader), once))
        used.add(token)
        at += size
        place += 2
        places[at] = place
        members.append((place, appended[0].called, appended[0]))
    for text in texts:
        if len(text) not in places or not longest.startswith(text):
            other = reads[text][0]
            if longest.startswith(text):
                why = f"{format.sentence(other)}, which is not composed of written values"
                return Violation((other,), format.contradiction(why))
            first = format.name(writer) if writer else "the initial value"
            argument = format.contradiction(
                format.sentence(other),
                format.sentence(reader),
                f"both begin with {first}, and an append is never undone, but neither is a prefix of the other",
            )
            return Violation((other, reader), argument)
        members += [(places[len(text)] + 1, read.called, read) for read in reads[text]]
    return Generation(writer, reader, members)
