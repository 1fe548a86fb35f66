"""The kinds of damage to data at rest; see `damage`, which carries them out.

Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage" (FAST 2018), found real systems that lost
committed data by each of these: they took a damaged record for a write that never completed, and cut it off.
"""

from __future__ import annotations

from typing import ClassVar

from raft_chaos.chaos.faults.damage import AtRest


class BitFlip(AtRest, frozen=True, tag="bit_flip"):
    about: ClassVar[str] = (
        "The nodes are killed, and one bit of their logs, snapshots or marks flips; they start `restart_after_us` later"
    )


class Truncation(AtRest, frozen=True, tag="truncation"):
    about: ClassVar[str] = (
        "The nodes are killed, and the ends of their logs, snapshots or marks, which had been synced, are lost"
    )


class LostWrite(AtRest, frozen=True, tag="lost_write"):
    about: ClassVar[str] = (
        "The nodes are killed, and a record in the middle of their logs was never written, although its sync succeeded"
    )


class MisdirectedWrite(AtRest, frozen=True, tag="misdirected_write"):
    about: ClassVar[str] = (
        "The nodes are killed, and a record of their logs was written over an earlier one instead of at its own place"
    )


class LostFile(AtRest, frozen=True, tag="lost_file"):
    about: ClassVar[str] = (
        "The nodes are killed, and their logs are gone, or their snapshots, or (`at_permille` 500 and more) the files "
        "that say whose folders these are"
    )
