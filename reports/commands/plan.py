"""A run that is planned and not carried out: what its seed drew, and its faults, one per line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from raft_chaos.reports.tables import Column, Table, text_table
from raft_chaos.reports.text import US_PER_S, milliseconds, seconds


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One planned run. `drawn` describes its schedule, `schedule` has the lines of its schedule.jsonl."""

    seed: int
    world: str
    target: str
    mutant: str | None
    drawn: list[str]
    schedule: list[dict[str, Any]]


COLUMNS = [
    Column("fault"),
    Column("when", wraps=True),
    Column("kind"),
    Column("what", wraps=True),
    Column("seconds", align="right"),
]


def plan_page(plan: Plan, width: int) -> Iterator[str]:
    """What the head of the run would say, then its phases and its faults."""
    header = plan.schedule[0]
    yield f"seed {plan.seed}  world {plan.world}  {len(header['nodes'])} nodes  target {plan.mutant or plan.target}"
    begin, end = _seconds(header["safety_from_us"]), _seconds(header["safety_until_us"])
    then = f"then all is healed, and clients go on {_seconds(header['liveness_for_us'])}"
    for line in [*plan.drawn, f"faults from {begin} to {end}; {then}"]:
        yield from textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ")
    faults = sorted((line for line in plan.schedule if line["kind"] == "fault"), key=_order)
    if faults:
        yield ""
        yield from text_table(Table("Faults", COLUMNS, [_row(line) for line in faults], longest=len(faults)), width)


def plans_document(plans: Sequence[Plan]) -> object:
    """One plan, or a list of several."""
    return plans[0] if len(plans) == 1 else list(plans)


def _order(line: dict[str, Any]) -> tuple[bool, int]:
    """By time; the faults that wait for an event last."""
    at_us = line["when"].get("at_us")
    return (at_us is None, at_us or 0)


def _row(line: dict[str, Any]) -> list[str]:
    action = line["action"]
    parts = {name: value for name, value in action.items() if name != "type" and value not in ("", [], None, 0, [0])}
    what = "; ".join(_part(name, value) for name, value in parts.items())
    return [line["id"], _when(line["when"]), action["type"], what, seconds(line["duration_us"])]


def _when(when: dict[str, Any]) -> str:
    if (at_us := when.get("at_us")) is not None:
        return f"{seconds(at_us)} s"
    after = f"{when['after_us'] / 1000:g} ms after " if when.get("after_us") else "at "
    if not (event := when.get("on")):
        return f"{after}{when['since']}"
    nth = f" number {when['nth']}" if when.get("nth", 1) > 1 else ""
    return f"{after}{event}{nth}" + (f" since {when['since']}" if when.get("since") else "")


def _part(name: str, value: Any) -> str:
    """A field of an action: "shape one_way", "jump 12.0 ms", "n1 does not hear n2, n3" for a grudge."""
    if name.endswith("_us"):
        times = [f"{milliseconds(round(one))} ms" for one in (value if isinstance(value, list) else [value])]
        return f"{name.removesuffix('_us')} {', '.join(times)}"
    if isinstance(value, dict):
        return "; ".join(f"{one} does not hear {_shown(others)}" for one, others in value.items())
    return f"{name} {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _seconds(t_us: int) -> str:
    return f"{t_us / US_PER_S:g} s"
