"""What the marks of the picture mean, of those that it has."""

from __future__ import annotations

from raft_chaos.reports.html.timeline.spec import OverTime


def legend(report: OverTime) -> list[tuple[str, str]]:
    """What each mark of the picture means, of those that it has: the class of its sample, and words."""
    timeline = report.timeline
    states = {span.state for lane in timeline.lanes for span in [*lane.spans, *lane.paused]}
    ends = {point.end for point in timeline.service.points}
    fired = [row for row in report.faults if row.injected_us is not None]
    pale = "without effect so far" if any(row.healed_us is None for row in fired) else "without effect"
    of_state = [
        ("leader", "leader, with its term"),
        ("candidate", "candidate"),
        ("follower", "follower"),
        ("up", "up"),
        ("down", "down"),
        ("paused", "paused"),
    ]
    every = [
        *(((name, words), name in states) for name, words in of_state),
        (("won", "elected"), any(row.leaders for row in report.elections)),
        (("lost", "term without a leader"), any(not row.leaders for row in report.elections)),
        (("fault", f"fault (pale: {pale})"), bool(fired)),
        (("ok", "ok"), "ok" in ends),
        (("fail", "failed"), "fail" in ends),
        (("open", "outcome unknown"), "unknown" in ends),
        (("violation", "violation"), bool(timeline.moments)),
    ]
    return [sample for sample, there in every if there]
