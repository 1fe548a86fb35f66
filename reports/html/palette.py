"""The colours of pages and pictures. Pictures name them as fields of the signal `c`, pages as CSS variables.

The pairs of text and background have a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3), marks one of 3 to 1 except for
`follower` and `up`, the normal states, which stay in the background. No meaning hangs on colour alone: each mark says
in words what it is.
"""

from __future__ import annotations

LIGHT = {
    "paper": "#ffffff",
    "panel": "#f5f7f9",
    "ink": "#1b1f24",
    "soft": "#57606a",
    "line": "#d5dbe1",
    "accent": "#1f5fbf",
    "valid": "#1a7f37",
    "violated": "#c62828",
    "unknown": "#8a5a00",
    "leader": "#2563c9",
    "candidate": "#b97a00",
    "follower": "#ccd6e0",
    "up": "#ccd6e0",
    "down": "#6b7280",
    "paused": "#8e5bb5",
    "fault": "#c2601a",
    "onmark": "#ffffff",
    "ok": "#15803d",
    "fail": "#d1480c",
    "open": "#8b3fc0",
}
DARK = {
    "paper": "#11151a",
    "panel": "#1a2027",
    "ink": "#e6edf3",
    "soft": "#9eabb8",
    "line": "#303945",
    "accent": "#79b0ff",
    "valid": "#56d364",
    "violated": "#ff7b72",
    "unknown": "#e3b341",
    "leader": "#5794f2",
    "candidate": "#e0a526",
    "follower": "#3a4756",
    "up": "#3a4756",
    "down": "#8a95a3",
    "paused": "#b98be0",
    "fault": "#e8853d",
    "onmark": "#0c1014",
    "ok": "#4cc26b",
    "fail": "#ff8552",
    "open": "#c69bf0",
}


def variables(colours: dict[str, str]) -> str:
    """The colours as CSS variables."""
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
