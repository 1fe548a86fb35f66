"""A network in which nothing moves by itself: a frame stays in flight until the caller delivers or loses it.

Frames keep the order in which they were sent, unless the caller changes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from raft_chaos.chaos.execution.player import Frame, Link


class HandDrivenNetwork:
    """The frames between nodes with these links."""

    def __init__(self, links: Iterable[Link]) -> None:
        self.frames: list[Frame] = []
        """The frames in flight, oldest first. A frame occurs twice if it was duplicated."""
        self.arrived: dict[Link, list[Frame]] = {link: [] for link in links}
        """The frames of each link that arrived or were lost, and may arrive again, latest first."""
        self.cut: set[Link] = set()  # used only for membership tests

    def on_link(self, link: Link) -> list[Frame]:
        """The frames in flight on the link, oldest first."""
        sender, to = link
        return [frame for frame in self.frames if frame.to == to and frame.sender == sender]

    def send(self, frames: Sequence[Frame]) -> None:
        """These frames are in flight. Those on cut links are lost."""
        for frame in frames:
            if frame.link in self.cut:
                self.arrived[frame.link].insert(0, frame)
            else:
                self.frames.append(frame)

    def take(self, frame: Frame) -> None:
        """The frame arrives, for the first time or again, or is lost."""
        arrived = self.arrived[frame.link]
        for where in (self.frames, arrived):
            if frame in where:
                where.remove(frame)
        arrived.insert(0, frame)

    def lose(self, links: Collection[Link]) -> list[Frame]:
        """Loses the frames in flight on these links, and returns them."""
        lost = [frame for frame in self.frames if frame.link in links]
        for frame in lost:
            self.take(frame)
        return lost

    def duplicate(self, frame: Frame) -> None:
        """The network duplicates the frame. The copy comes after all other frames."""
        self.frames.append(frame)

    def delay(self, frame: Frame) -> None:
        """All other frames overtake this one."""
        self.frames.remove(frame)
        self.frames.append(frame)

    def cut_links(self, links: Collection[Link]) -> list[Frame]:
        """Cuts these links until `heal`. Loses the frames in flight on them, and returns them."""
        self.cut.update(links)
        return self.lose(links)

    def heal(self) -> None:
        self.cut.clear()
