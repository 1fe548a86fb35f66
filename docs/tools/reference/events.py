"""What a node and the harness report, from the classes of the events."""

from __future__ import annotations

from typing import get_args

import msgspec

from docs.tools.reference.markdown import code, page, paragraphs, table
from docs.tools.reference.types import default, shape
from raft_chaos.invariants import events


def text() -> str:
    about = paragraphs(events)
    rules = (events.__doc__ or "").split("\n\n")[2]
    purpose = f"{about[0]} {about[1]}"
    common = {field.name for field in msgspec.structs.fields(events.Event)}
    parts = [rules, *about[3:], "## Every event", paragraphs(events.Event)[0], _fields(events.Event, set())]
    for title, union in (("By a node", events.NodeEvent), ("By the harness", events.HarnessEvent)):
        parts.append(f"## {title}")
        for kind in get_args(union):
            parts += [f"### {kind.__struct_config__.tag}", *paragraphs(kind), _fields(kind, common)]
    return page("Events", purpose, "invariants/events.py", *parts)


def _fields(kind: type[msgspec.Struct], without: set[str]) -> str:
    fields = [field for field in msgspec.structs.fields(kind) if field.name not in without]
    return table(
        ["field", "value", "default"], [[code(f.encode_name), shape(f.type), default(f.default)] for f in fields]
    )
