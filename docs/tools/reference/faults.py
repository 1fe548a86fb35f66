"""The kinds of faults, from their classes."""

from __future__ import annotations

import sys

import msgspec

from docs.tools.reference.markdown import code, page, paragraphs, table
from docs.tools.reference.types import default, shape
from raft_chaos.chaos.faults.abilities import ABILITIES
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.catalogue import KINDS
from raft_chaos.chaos.faults.manual import worlds
from raft_chaos.chaos.faults.names import ROLES
from raft_chaos.chaos.schedule.steered.catalogue import ALL as EPISODES


def text() -> str:
    rows = [
        [f"[{name}](#{name})", worlds(kind) or "for a target that allows it", kind.about]
        for name, kind in KINDS.items()
    ]
    purpose = (
        "The kinds of faults, as `raft-chaos faults` lists them: for `--faults`, and for [schedules](../schedules.md), "
        "where the fields are those of a fault's `action`. Units are the ends of names: `_us` are microseconds, "
        "`_permille` thousandths, `_ppm` millionths; probabilities are numbers from 0 to 1."
    )
    parts = [part for name, kind in KINDS.items() for part in _kind(name, kind)]
    kinds = table(["kind", "worlds", "what it does"], rows)
    return page("Faults", purpose, "chaos/faults and chaos/schedule/steered", kinds, *_roles(), *_episodes(), *parts)


def _roles() -> list[str]:
    said = (
        "A fault may name its nodes by these roles. A role may be that of an earlier moment: `leader@f1` is the node "
        "that led when fault f1 struck. A kill takes only roles of one node."
    )
    return ["## Roles", said, table(["role", "is"], [[code(role), who] for role, who in ROLES.items()])]


def _episodes() -> list[str]:
    said = (
        "Sequences of faults that are built for one situation. Each step waits for what the step before it has brought "
        "about. Their faults have ids such as `s0002-one_victim-3`: the second episode of the seed, its name, its step."
    )
    rows = [[code(one.name), one.about, one.source] for one in EPISODES]
    return ["## Steered episodes", said, table(["episode", "brings about", "seen in"], rows)]


def _kind(name: str, kind: type[Action]) -> list[str]:
    family = paragraphs(sys.modules[kind.__module__])[0].partition(":")[0]
    rows = [
        [code(field.encode_name), shape(field.type), default(field.default)] for field in msgspec.structs.fields(kind)
    ]
    asks = "; ".join(f"{code(ability)} ({ABILITIES[ability]})" for ability in kind.asks)
    facts = [
        f"Seen by: {kind.seen[0].lower()}{kind.seen[1:]}.",
        f"What a node may then do: {kind.then[0].lower()}{kind.then[1:]}." if kind.then else "",
        f"Family: {family.lower()}." if not family.endswith(".") else f"Family: {family.lower()}",
        f"Another system must declare {asks}." if asks else "",
        "It ends as soon as it has struck." if kind.at_once else "",
    ]
    return [f"## {name}", f"{kind.about}.", " ".join(filter(None, facts)), table(["field", "value", "default"], rows)]
