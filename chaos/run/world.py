"""The worlds in which a run takes place."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

World: TypeAlias = Literal["sim", "lockstep", "live"]
WORLDS: tuple[World, ...] = get_args(World)
