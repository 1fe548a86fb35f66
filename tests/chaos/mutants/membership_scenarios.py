"""The handwritten scenarios that convict the mutants of changes of the members (§6)."""

from __future__ import annotations

from msgspec.structs import replace
from scenario_steps import Observed, cluster_of, die, exchange, judged_recovery, seen, stand, win
from sim_scenarios import a_learner, in_sim

from cluster import TIMING, Cluster, Packet, command
from raft_chaos.invariants.events import HARNESS, ChangeAnswered
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.configuration import Change, encode_change
from raft_chaos.raft.state.features import Features

JOINT = replace(TIMING, features=Features(check_quorum=True, membership="joint"))
SINGLE = replace(TIMING, features=Features(check_quorum=True, membership="single"))
TWO_VOTERS = replace(TIMING, features=Features(membership="joint", first_voters=2))
COMPACTING = replace(TIMING, features=Features(check_quorum=True, membership="joint", snapshot_every=3))


def ask(cluster: Cluster, leader: str, **change: tuple[str, ...]) -> None:
    """A client asks the leader for other members."""
    cluster.step(cluster[leader], lambda: cluster[leader].submit(encode_change(Change(**change))))


def led_by_n1(parts: Parts, size: int = 3, *, timing: object = JOINT) -> Cluster:
    cluster = cluster_of(parts, size, timing=timing)  # type: ignore[arg-type]
    stand(cluster, "n1")
    stand(cluster, "n1")
    return cluster


def membership_before_noop(parts: Parts) -> Observed:
    """n2 is elected, and asked for a change before its first entry is on any other disk."""
    cluster = led_by_n1(parts, 4, timing=SINGLE)
    die(cluster, "n1")
    cluster.now_us += 400_000  # the others have not heard a leader for so long
    win(cluster, "n2", "n3", "n4")
    ask(cluster, "n2", remove=("n1",))
    cluster.now_us += 1_000
    cluster.settle()
    stand(cluster, "n2")
    return seen(cluster)


def changes_overlap(parts: Parts) -> Observed:
    """n1 is asked for a second change before the first one is on any other disk."""
    cluster = led_by_n1(parts, 5, timing=SINGLE)
    ask(cluster, "n1", remove=("n5",))
    ask(cluster, "n1", remove=("n4",))
    cluster.now_us += 1_000
    cluster.settle()
    return seen(cluster)


def apply_time_joint(parts: Parts) -> Observed:
    """n1 removes n3."""
    cluster = led_by_n1(parts)
    ask(cluster, "n1", remove=("n3",))
    cluster.settle()
    return seen(cluster)


def rollback_keeps_membership(parts: Parts) -> Observed:
    """n1 removes n2, which nobody hears of; n2 leads then, and n1 follows it."""
    cluster = led_by_n1(parts)
    cluster.cut_off = frozenset({"n1"})
    ask(cluster, "n1", remove=("n2",))
    cluster.settle()
    return _n2_takes_over(cluster)


def _n2_takes_over(cluster: Cluster, commands: int = 1) -> Observed:
    """n2 leads, and n1, which was cut off, comes back."""
    cluster.now_us += 400_000
    win(cluster, "n2", "n3")
    for number in range(commands):
        cluster.submit("n2", command(str(number)))
        cluster.settle()
    cluster.cut_off = frozenset()
    for _ in range(4):
        stand(cluster, "n2")
    return seen(cluster)


def snapshot_keeps_newer_membership(parts: Parts) -> Observed:
    """The same, but n2 has compacted its log by then, so n1 gets a snapshot."""
    cluster = led_by_n1(parts, timing=COMPACTING)
    cluster.cut_off = frozenset({"n1"})
    ask(cluster, "n1", remove=("n2",))
    cluster.settle()
    return _n2_takes_over(cluster, 8)


def learner_refuses_vote(parts: Parts) -> Observed:
    """n3 may vote again, and does not know it yet. n1 dies, so n2 needs n3's vote."""
    cluster = led_by_n1(parts, timing=SINGLE)
    ask(cluster, "n1", remove=("n3",))
    cluster.settle()
    ask(cluster, "n1", add=("n3",))
    cluster.settle()
    stand(cluster, "n1")
    stand(cluster, "n1")
    ask(cluster, "n1", promote=("n3",))
    cluster.persist_all("n1")
    exchange(cluster, "n1", "n2")
    promoted = cluster["n2"].core.log.last_index
    die(cluster, "n1")
    cluster.now_us += 400_000
    for _ in range(60):
        cluster.tick(min(("n2", "n3"), key=lambda name: cluster[name].core.deadline_us))
        cluster.settle()
    return judged_recovery(cluster, 2_000_000, promoted)


def learner_counts(parts: Parts) -> Observed:
    """n3 is a learner of n1 and n2. A command reaches n3, and not n2."""
    cluster = led_by_n1(parts)
    ask(cluster, "n1", remove=("n3",))
    cluster.settle()
    ask(cluster, "n1", add=("n3",))
    cluster.settle()
    stand(cluster, "n1")
    cluster.submit("n1", command("a"))
    cluster.persist_all("n1")
    exchange(cluster, "n1", "n3")
    return seen(cluster)


def self_removal_counts_itself(parts: Parts) -> Observed:
    """n1 removes itself, and of the two others only n2 hears of it."""
    cluster = led_by_n1(parts, timing=SINGLE)
    ask(cluster, "n1", remove=("n1",))
    cluster.now_us += 1_000
    cluster.persist_all("n1")
    exchange(cluster, "n1", "n2")
    return seen(cluster)


def removed_leader_leads_on(parts: Parts) -> Observed:
    """n1 removes itself, and commits a command after that."""
    cluster = led_by_n1(parts, timing=SINGLE)
    ask(cluster, "n1", remove=("n1",))
    cluster.settle()
    cluster.now_us += 1_000
    cluster.submit("n1", command("a"))
    cluster.settle()
    return seen(cluster)


def removed_leader_leaves_early(parts: Parts) -> Observed:
    """n1 removes itself. Later n2 leads, and tells the others what is committed."""
    cluster = led_by_n1(parts, timing=SINGLE)
    ask(cluster, "n1", remove=("n1",))
    cluster.settle()
    cluster.now_us += 1_000_000
    for _ in range(2):
        cluster.tick("n2")
        cluster.settle()
    return judged_recovery(cluster, 2_000_000)


def removed_leader_never_stands(parts: Parts) -> Observed:
    """Of two n1 leads and removes itself. It falls when it alone has the entry, and is back."""
    cluster = led_by_n1(parts, 2, timing=SINGLE)
    ask(cluster, "n1", remove=("n1",))
    return _only_n1_has_it(cluster)


def candidate_asks_new_voters(parts: Parts) -> Observed:
    """Of two n1 leads and removes n2. It falls when it alone has the entry, and is back."""
    cluster = led_by_n1(parts, 2)
    ask(cluster, "n1", remove=("n2",))
    return _only_n1_has_it(cluster)


def _only_n1_has_it(cluster: Cluster) -> Observed:
    """Of two n1 falls when it alone has its last entry, and is back: both stand, whoever may."""
    cluster.persist_all("n1")
    before = cluster["n2"].core.log.last_index
    die(cluster, "n1")
    cluster.restart("n1")
    cluster.now_us += 400_000
    for _ in range(60):
        cluster.tick(min(("n1", "n2"), key=lambda name: cluster[name].core.deadline_us))
        cluster.settle()
    return judged_recovery(cluster, 2_000_000, before, ("n2",))


def restart_forgets_members_of_snapshot(parts: Parts) -> Observed:
    """n1 removes n3, compacts its log, falls, and is back."""
    cluster = led_by_n1(parts, timing=COMPACTING)
    ask(cluster, "n1", remove=("n3",))
    cluster.settle()
    for number in range(6):
        cluster.submit("n1", command(str(number)))
        cluster.settle()
    die(cluster, "n1")
    cluster.restart("n1")
    cluster.now_us += 400_000
    stand(cluster, "n1")
    stand(cluster, "n1")
    return seen(cluster)


def change_answered_at_joint(parts: Parts) -> Observed:
    """n1 removes n3, and its administrator sees the answer."""
    cluster = led_by_n1(parts)
    ask(cluster, "n1", remove=("n3",))
    cluster.settle()
    return [*seen(cluster), *_answers(cluster)]


def change_answered_when_appended(parts: Parts) -> Observed:
    """n1 removes n3, and its administrator has the answer before any other node has heard of it."""
    cluster = led_by_n1(parts, timing=SINGLE)
    ask(cluster, "n1", remove=("n3",))
    before = [*seen(cluster), *_answers(cluster)]
    cluster.now_us += 1_000
    cluster.settle()
    return [*before, *(one for one in seen(cluster) if one not in before)]


def change_under_way_is_done(parts: Parts) -> Observed:
    """n1 removes n3, and is asked for another change before that is committed."""
    cluster = led_by_n1(parts, timing=SINGLE)
    ask(cluster, "n1", remove=("n3",))
    ask(cluster, "n1", remove=("n2",))
    return [*seen(cluster), *_answers(cluster)]


def _answers(cluster: Cluster) -> Observed:
    """What the administrator of n1 has been told is done by now."""
    return [
        ChangeAnswered(node=HARNESS, inc=1, t_us=cluster.now_us, subject="n1", index=answer.index)
        for answer in cluster["n1"].replies
        if answer.result is not None and answer.result.ok
    ]


def snapshot_sent_without_members(parts: Parts) -> Observed:
    """n4 is away while n2 is removed, and until that is in a snapshot alone."""
    cluster = led_by_n1(parts, 4, timing=COMPACTING)
    cluster.cut_off = frozenset({"n4"})
    ask(cluster, "n1", remove=("n2",))
    cluster.settle()
    for number in range(6):
        cluster.submit("n1", command(str(number)))
        cluster.settle()
    cluster.cut_off = frozenset()
    for _ in range(4):
        cluster.tick("n1")
        cluster.settle()
    return seen(cluster)


def learner_never_promoted(parts: Parts) -> Observed:
    """n3 begins without a vote, and is to have one at the end."""
    return in_sim(parts, a_learner(1))


def learner_stands(parts: Parts) -> Observed:
    """n3 has no vote, and hears nobody."""
    cluster = cluster_of(parts, timing=TWO_VOTERS)
    cluster.tick("n3")
    cluster.settle()
    return seen(cluster)


def joint_left_to_its_leader(parts: Parts) -> Observed:
    """n1 begins to remove n4, and falls. n2 has that entry, takes over, and commits a command."""
    cluster = led_by_n1(parts, 4)
    ask(cluster, "n1", remove=("n4",))
    cluster.persist_all("n1")
    exchange(cluster, "n1", "n2")
    die(cluster, "n1")
    cluster.now_us += 400_000
    win(cluster, "n2", "n3", "n4")
    cluster.settle()
    cluster.now_us += 1_000
    cluster.submit("n2", command("a"))
    cluster.settle()
    return seen(cluster)


def snapshot_has_latest_members(parts: Parts) -> Observed:
    """n1 has appended a change when it learns that the commands before it are committed, and compacts its log."""
    cluster = led_by_n1(parts, timing=COMPACTING)
    cluster.submit("n1", command("a"), command("b"), command("c"))
    cluster.persist_all("n1")
    cluster.deliver_from("n1", "n2")
    cluster.persist_all("n2")
    ask(cluster, "n1", remove=("n3",))
    cluster.deliver_from("n2", "n1")
    cluster.persist_all("n1")
    return seen(cluster)


def learner_promoted_behind(parts: Parts) -> Observed:
    """n3 has caught up as a learner, and misses commands. It is promoted as soon as it answers again."""
    cluster = led_by_n1(parts, timing=SINGLE)
    ask(cluster, "n1", remove=("n3",))
    cluster.settle()
    ask(cluster, "n1", add=("n3",))
    cluster.settle()
    stand(cluster, "n1")
    cluster.cut_off = frozenset({"n3"})
    for number in range(8):
        cluster.submit("n1", command(str(number)))
        cluster.settle()
        stand(cluster, "n1")
    cluster.cut_off = frozenset()
    cluster.tick("n1")
    exchange(cluster, "n1", "n3")  # the answer to one heartbeat
    cluster.now_us += 1_000
    ask(cluster, "n1", promote=("n3",))
    cluster.settle()
    return judged_recovery(cluster, 2_000_000)


def silent_learner_promoted(parts: Parts) -> Observed:
    """n3 has caught up as a learner, and does not answer any more when it is to get its vote."""
    cluster = led_by_n1(parts, timing=SINGLE)
    ask(cluster, "n1", remove=("n3",))
    cluster.settle()
    ask(cluster, "n1", add=("n3",))
    cluster.settle()
    stand(cluster, "n1")
    cluster.cut_off = frozenset({"n3"})
    for _ in range(8):
        stand(cluster, "n1")
    ask(cluster, "n1", promote=("n3",))
    cluster.settle()
    return judged_recovery(cluster, 2_000_000)


def round_of_any_length(parts: Parts) -> Observed:
    """The answers of n3, a learner, take longer than an election timeout, while commands go on. Thus it always lacks
    what the leader has appended since, and no round of catching up is short enough."""
    cluster = led_by_n1(parts, timing=SINGLE)
    ask(cluster, "n1", remove=("n3",))
    cluster.settle()
    ask(cluster, "n1", add=("n3",))
    answers = list[list[Packet]]()
    for number in range(20):
        cluster.submit("n1", command(str(number)))
        exchange(cluster, "n1", "n2")
        cluster.persist_all("n1")
        cluster.deliver_from("n1", "n3")
        cluster.persist_all("n3")
        answers.append([packet for packet in cluster.network if packet.source == "n3"])
        cluster.network = [packet for packet in cluster.network if packet.source != "n3"]
        cluster.tick("n1")
        if number >= 6:
            cluster.network += answers[number - 6]
            cluster.deliver_from("n3", "n1")
    ask(cluster, "n1", promote=("n3",))
    cluster.settle()
    return judged_recovery(cluster, 2_000_000)


SCENARIOS = (
    membership_before_noop,
    changes_overlap,
    apply_time_joint,
    rollback_keeps_membership,
    snapshot_keeps_newer_membership,
    learner_refuses_vote,
    learner_counts,
    silent_learner_promoted,
    round_of_any_length,
    self_removal_counts_itself,
    removed_leader_leads_on,
    removed_leader_leaves_early,
    removed_leader_never_stands,
    learner_promoted_behind,
    learner_never_promoted,
    learner_stands,
    joint_left_to_its_leader,
    snapshot_has_latest_members,
    candidate_asks_new_voters,
    snapshot_sent_without_members,
    change_answered_when_appended,
    change_under_way_is_done,
    change_answered_at_joint,
    restart_forgets_members_of_snapshot,
)
