"""The bar of a campaign on a terminal, and the lines above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raft_chaos.chaos.cli.run.campaign_view import Progress

NARROWEST_BAR = 10
WIDEST_BAR = 40


def bar(console: Console, progress: Callable[[], Progress]) -> Live:
    """The bar, which is drawn again and again as `progress` says, and is erased at the end."""
    return Live(console=console, get_renderable=lambda: Bar(progress()), transient=True)


def write(console: Console, headline: str, details: Sequence[str]) -> None:
    """Never wrapped by rich: a command that is copied from a terminal must not contain line ends."""
    console.print(Text(headline, style="bold red"), soft_wrap=True)
    for detail in details:
        console.print(Text(f"  {detail}"), soft_wrap=True)


class Bar:
    """One picture of the bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One line, at most as wide as the terminal. Two parts take precedence over the bar, the others do not."""
        room = options.max_width - NARROWEST_BAR - 2
        words = self._progress.words()
        while len(words) > 2 and len("  ".join(words)) > room:
            words.pop()
        text = "  ".join(words)
        if len(text) > room:
            yield Text(text, no_wrap=True, overflow="ellipsis")
            return
        width = min(WIDEST_BAR, options.max_width - len(text) - 2)
        line = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        drawn = ProgressBar(total=self._progress.total, completed=self._progress.done, width=width)
        line.add_row(drawn, Text(text, no_wrap=True))
        yield line
