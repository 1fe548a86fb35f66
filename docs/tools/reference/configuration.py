"""The keys of a file of options, and the files that come with raft-chaos."""

from __future__ import annotations

from typing import Any

from docs.tools.reference.commands import WIDE
from docs.tools.reference.markdown import code, page, table
from raft_chaos.chaos.cli.commands import COMMANDS
from raft_chaos.chaos.cli.lazy import load
from raft_chaos.chaos.cli.run.configuration import CONFIG, LISTS, OWN_FILE, PYPROJECT, SECTION, SHIPPED


def text() -> str:
    command = load(next(one for one in COMMANDS if one.name == "run"))
    rows: list[list[str]] = []
    with command.make_context("run", [], resilient_parsing=True, **WIDE) as context:
        for param in command.get_params(context):
            if param.name not in (CONFIG, "help"):
                rows.append([code(max(param.opts, key=len).removeprefix("--")), _value(param), param.help])
    purpose = (
        f"The keys of `{OWN_FILE}` in the working directory, or of `[{SECTION}]` in its `{PYPROJECT}`. Each is an "
        "option of [`raft-chaos run`](commands.md#run), whose defaults and limits hold here too. "
        "[Options in a file](../configuration.md) says how a file and the command line go together."
    )
    shipped = [f"`--config {name}`:\n\n```toml\n{file.read_text('utf-8')}```" for name, file in SHIPPED.items()]
    keys = table(["key", "value", "meaning"], rows)
    return page(
        "Configuration", purpose, "chaos/cli/run/configuration.py", keys, "## What comes with raft-chaos", *shipped
    )


def _value(param: Any) -> str:
    if param.is_flag:
        return "true or false"
    return f"{code(param.metavar)}, or an array" if param.name in LISTS else code(param.metavar)
