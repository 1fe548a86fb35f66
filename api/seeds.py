"""The seeds of a campaign, as a number, a range, or a list."""

from __future__ import annotations

from collections.abc import Iterable

from raft_chaos.chaos.run.option import OptionError


def seeds_of(seeds: int | str | Iterable[int]) -> list[int]:
    """20 is the seeds 1 to 20, "5..9" a range, and a list is itself; each seed counts once. Raises OptionError."""
    if isinstance(seeds, int):
        chosen = list(range(1, seeds + 1))
    elif isinstance(seeds, str):
        chosen = [seed for part in seeds.split(",") for seed in _range(part, seeds)]
    else:
        chosen = list(seeds)
    if not chosen or min(chosen) < 0:
        wrong = f"expected at least one, each 0 or more, such as 20, '1..20' or [3, 5], got {seeds!r}"
        raise OptionError("seeds", wrong)
    return list(dict.fromkeys(chosen))


def _range(part: str, whole: str) -> Iterable[int]:
    first, _, last = part.strip().partition("..")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise OptionError("seeds", f"expected seeds and ranges such as '1..20' or '1..5,9', got {whole!r}")
    return range(int(first), int(last or first) + 1)
