"""Configurations, what a change makes of one, and those of a log."""

from __future__ import annotations

import re

import pytest

from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.state.configuration import (
    Change,
    ChangeError,
    Configuration,
    Configurations,
    decode_change,
    decode_configuration,
    encode_change,
    encode_configuration,
    first_configuration,
    is_configuration,
    is_satisfied,
    unknown_members,
)

KNOWN = ("n1", "n2", "n3", "n4", "n10")
NOW = Configuration(("n1", "n2"), (), ("n3",))


@pytest.mark.parametrize(
    ("change", "becomes"),
    [
        (Change(add=("n10", "n4")), Configuration(("n1", "n2"), (), ("n3", "n4", "n10"))),
        (Change(promote=("n3",)), Configuration(("n1", "n2", "n3"))),
        (Change(remove=("n2", "n3")), Configuration(("n1",))),
        (Change(add=("n4",), promote=("n3",), remove=("n1", "n2")), Configuration(("n3",), (), ("n4",))),
    ],
)
def test_a_change_makes_another_configuration_in_the_order_of_names(change: Change, becomes: Configuration) -> None:
    assert change.applied_to(NOW, KNOWN) == becomes


@pytest.mark.parametrize(
    ("change", "why", "satisfied"),
    [
        (Change(), "nothing is asked for; name the nodes to add, promote or remove", False),
        (Change(add=("n9",)), "n9 is unknown; there are n1, n2, n3, n4, n10", False),
        (Change(add=("n4",), remove=("n4",)), "n4 is named twice", False),
        (Change(add=("n3",)), "add n3: it is a member already", True),
        (Change(promote=("n2",)), "promote n2: it votes already", True),
        (Change(promote=("n4",)), "promote n4: it is no member yet; add it first", False),
        (Change(remove=("n4",)), "remove n4: it is no member", True),
        (Change(remove=("n1", "n2")), "the cluster would have no voters left", False),
    ],
)
def test_what_is_refused_says_why_and_whether_all_is_as_asked_for(change: Change, why: str, satisfied: bool) -> None:
    with pytest.raises(ChangeError, match=f"^{re.escape(why)}$"):
        change.applied_to(NOW, KNOWN)
    assert is_satisfied(why) is satisfied


def test_joint_voters_are_two_electorates_and_all_of_them_members() -> None:
    joint = Configuration(("n2", "n3"), ("n1", "n2"), ("n4",))
    assert joint.is_joint and joint.electorates == (("n2", "n3"), ("n1", "n2"))
    assert joint.members == {"n1", "n2", "n3", "n4"}
    assert [joint.is_voter(node) for node in KNOWN] == [True, True, True, False, False]
    assert joint.after_joint == Configuration(("n2", "n3"), (), ("n4",))
    assert not NOW.is_joint and NOW.electorates == (("n1", "n2"),)


def test_a_new_cluster_begins_with_all_or_with_the_first_of_them() -> None:
    assert first_configuration({"n10", "n2", "n1"}) == Configuration(("n1", "n2", "n10"))
    assert first_configuration({"n10", "n2", "n1"}, 2) == Configuration(("n1", "n2"))


# ---- those of a log --------------------------------------------------------------------------------------------------

ONE, TWO, THREE = Configuration(("n1",)), Configuration(("n1", "n2")), Configuration(("n1", "n2", "n3"))


def log_with(*pairs: tuple[int, Configuration]) -> Configurations:
    configurations = Configurations(NOW)
    for index, configuration in pairs:
        configurations.append(index, configuration)
    return configurations


def test_the_latest_goes_with_its_entry_and_the_first_stays() -> None:
    configurations = log_with((3, ONE), (5, TWO), (6, THREE))
    configurations.truncate(7)
    assert configurations.latest == (6, THREE)
    configurations.truncate(5)
    assert configurations.latest == (3, ONE)
    configurations.truncate(1)
    assert configurations.latest == (0, NOW)


def test_which_was_the_latest_up_to_an_index_and_which_comes_next() -> None:
    configurations = log_with((3, ONE), (5, TWO))
    assert [configurations.at(index)[0] for index in (0, 2, 3, 4, 5, 9)] == [0, 0, 3, 3, 5, 5]
    assert [configurations.after(index) for index in (0, 2, 3, 4, 5)] == [3, 3, 5, 5, None]


def test_a_log_that_begins_behind_a_snapshot_keeps_the_snapshots_latest() -> None:
    configurations = log_with((3, ONE), (5, TWO), (8, THREE))
    configurations.compact(6)
    assert configurations.at(6) == (5, TWO) and configurations.latest == (8, THREE)
    configurations.truncate(7)
    assert configurations.latest == (5, TWO), "it is committed, and stays"


def test_a_snapshot_in_place_of_the_log_replaces_all_of_them() -> None:
    configurations = log_with((3, ONE), (9, TWO))
    configurations.replace(4, THREE)
    assert configurations.latest == (4, THREE)
    configurations.replace(0, None)
    assert configurations.latest == (0, NOW)


# ---- as bytes --------------------------------------------------------------------------------------------------------


def test_a_configuration_is_an_entry_like_no_clients_command() -> None:
    joint = Configuration(("n2",), ("n1",), ("n3",))
    assert decode_configuration(encode_configuration(joint)) == joint
    assert is_configuration(encode_configuration(joint))
    assert not is_configuration(b"") and not is_configuration(encode_command(Command("put", "x", "1")))


def test_a_change_is_submitted_like_no_command() -> None:
    change = Change(("n4",), ("n3",), ("n1", "n2"))
    assert decode_change(encode_change(change)) == change
    assert decode_change(encode_command(Command("put", "x", "1"))) is None
    assert str(change) == "add n4, promote n3, remove n1 n2" and str(Change()) == "no change"


@pytest.mark.parametrize("damaged", [b"\xc1", b"\xc1\x00", encode_configuration(ONE)[:-1], b"\xc1\x93\x90\x90\x90"])
def test_damaged_bytes_are_neither(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="a configuration cannot be decoded: "):
        decode_configuration(damaged)
    with pytest.raises(ValueError, match="a change of the members cannot be decoded: "):
        decode_change(damaged)


def test_members_that_are_unknown_among_commands() -> None:
    commands = [b"", encode_configuration(Configuration(("n1",), ("n7",), ("n6",))), b"\x00"]
    assert unknown_members(commands, ("n1",)) == ["n6", "n7"]
    assert unknown_members(commands, ("n1", "n6", "n7")) == []
