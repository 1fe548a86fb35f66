"""The byte with which the command of a configuration begins, and no client's command (§6)."""

from __future__ import annotations

MARK = b"\xc1"
"""The only byte that msgpack never uses."""


def is_configuration(command: bytes) -> bool:
    """Whether the command of an entry is a configuration, and neither a client's command nor a no-op."""
    return command.startswith(MARK)
