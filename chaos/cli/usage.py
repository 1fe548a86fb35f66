"""Errors that typer finds in a command line, in plain words; `values` has those of single values."""

from __future__ import annotations

from typing import Any

import typer

from raft_chaos.chaos.cli.common import close_to


def sentence(error: typer.TyperException) -> str:
    """The error as a sentence that begins with the name of the argument."""
    context = getattr(error, "ctx", None)
    param = getattr(error, "param", None)
    option = getattr(error, "option_name", None)
    see = f"see {context.command_path} --help" if context is not None else "see raft-chaos --help"
    if option is not None:
        return _about_option(option, context, see)
    if param is None:
        return " ".join(str(error.message).split())
    if not error.message:
        return f"{_name(param)}: it is missing ({param.help.rstrip('.')}); {see}"
    return f"{_name(param)}: {error.message}"


def _about_option(option: str, context: Any, see: str) -> str:
    """An option that does not exist, that lacks its value, or that takes none."""
    params = context.command.get_params(context) if context is not None else []
    known = {name: param for param in params for name in (*param.opts, *param.secondary_opts) if name.startswith("-")}
    if option not in known:
        near = close_to(option, known)
        return f"there is no option {option}; {f'did you mean {near}?' if near else see}"
    if getattr(known[option], "is_flag", False):
        return f"{option}: it takes no value"
    return f"{option}: its value is missing; expected {known[option].display_type_rich(context)}"


def _name(param: Any) -> str:
    return str(param.opts[0]) if param.param_type_name == "option" else str(param.metavar or param.name.upper())
