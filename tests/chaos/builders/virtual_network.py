"""The simulated network without nodes: a test sends frames and sees them arrive."""

from __future__ import annotations

from builders.schedules import NODES
from raft_chaos.chaos.faults.links import LINKS, Degraded, Link, LinkCounters, LinkState
from raft_chaos.chaos.run.nemesis import InForce
from raft_chaos.chaos.run.sim.frame import Frame
from raft_chaos.chaos.run.sim.network import SimNetwork
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.schedule.data import SimModel


class Net:
    """A network whose frames arrive here. `send` numbers them by itself."""

    def __init__(self, model: SimModel | None = None, seed: int = 1) -> None:
        self.scheduler = Scheduler()
        self.frames: list[tuple[int, Frame]] = []
        self.network = SimNetwork(NODES, seed, model or SimModel(), self.scheduler, self._arrived)
        self._in_force = InForce()
        self._sent = 0

    def _arrived(self, frame: Frame) -> None:
        self.frames.append((self.scheduler.now_us, frame))

    def send(self, link: Link, count: int = 1, *, every_us: int = 0) -> None:
        """Sends `count` frames, the first one now; time advances by `every_us` after each."""
        for _ in range(count):
            self._sent += 1
            self.network.send(link[0], 1, link[1], self._sent, f"payload {self._sent}")
            if every_us:
                self.go(every_us)

    def put(self, fault: str, state: LinkState, *links: Link) -> None:
        """The fault puts this in force on these links, beside other faults."""
        self.network.set_links(self._in_force.change(LINKS, fault, dict.fromkeys(links, state)))

    def cut(self, fault: str, *links: Link) -> None:
        self.put(fault, LinkState(cut=True), *links)

    def clog(self, fault: str, *links: Link) -> None:
        self.put(fault, LinkState(clogged=True), *links)

    def degrade(self, fault: str, node: str, degraded: Degraded) -> None:
        """All links of the node are degraded, in both directions."""
        self.put(fault, LinkState(degraded=(degraded,)), *[link for link in self.network.links if node in link])

    def heal(self, fault: str) -> None:
        self.network.set_links(self._in_force.change(LINKS, fault, {}))

    def go(self, for_us: int) -> None:
        self.scheduler.run_until(self.scheduler.now_us + for_us)

    def numbers(self, link: Link | None = None) -> list[int]:
        """The numbers of the frames that have arrived (on this link), in order."""
        return [frame.number for _, frame in self.frames if link is None or (frame.sender, frame.to) == link]

    def times(self, link: Link | None = None) -> list[int]:
        return [at_us for at_us, frame in self.frames if link is None or (frame.sender, frame.to) == link]

    def counters(self, link: Link) -> LinkCounters:
        return self.network.counters()[link]
