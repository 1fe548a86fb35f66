"""Checks of a fault's fields, beyond their types. Each yields its errors, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def nodes(field: str, names: Sequence[str], allowed: Sequence[str]) -> Iterator[str]:
    """At least one of the allowed names, each only once."""
    if unknown := [name for name in names if name not in allowed]:
        yield f"{field}: {unknown[0]!r} is unknown; expected some of {', '.join(allowed)}"
    elif not names or len(set(names)) != len(names):
        yield f"{field}: expected at least one node, each only once, got {list(names)}"


def ordered(field: str, low: int, high: int) -> Iterator[str]:
    if not 0 <= low <= high:
        yield f"{field}: expected 0 <= min <= max, got {low} and {high}"


def within(field: str, value: int, least: int, most: int) -> Iterator[str]:
    if not least <= value <= most:
        yield f"{field}: expected {least} to {most}, got {value}"


def probability(field: str, value: float) -> Iterator[str]:
    if not 0 <= value <= 1:
        yield f"{field}: expected a probability from 0 to 1, got {value}"


def ascending(field: str, values: Sequence[int]) -> Iterator[str]:
    if list(values) != sorted(values):
        yield f"{field}: expected them in the order of time, got {', '.join(map(str, values))}"


def not_negative(field: str, value: int) -> Iterator[str]:
    if value < 0:
        yield f"{field}: expected 0 or more µs, got {value}"
