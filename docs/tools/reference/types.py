"""Types and defaults of fields, in words."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from docs.tools.reference.markdown import code

PLAIN = {str: "text", int: "integer", float: "number", bool: "true or false", type(None): "null"}


def shape(kind: Any) -> str:
    """What a field may hold."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(shape(one) for one in inner)
    if origin is Literal:
        return " or ".join(code(f'"{one}"') for one in inner)
    if origin in (tuple, list):
        return f"list of {shape(inner[0])}"
    if origin is dict:
        return f"object: {shape(inner[0])} to {shape(inner[1])}"
    return PLAIN.get(kind, getattr(kind, "__name__", str(kind)))


def default(value: Any) -> str:
    if value is msgspec.NODEFAULT:
        return ""
    return code(msgspec.json.encode(value).decode())
