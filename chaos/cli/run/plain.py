"""What `raft-chaos cluster` and `raft-chaos node` have in common: options, and what is checked of them."""

from __future__ import annotations

from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.run.option import features_of, timing_of
from raft_chaos.raft.server.addresses import is_loopback
from raft_chaos.raft.state.features import FEATURES, Features
from raft_chaos.raft.state.timing import Timing

HEARTBEATS_PER_TIMEOUT = 10
"""A plain cluster has no hurry to find out that its leader is gone, and its timeouts are long."""

ElectionTimeout = Annotated[
    str,
    typer.Option(
        "--election-timeout", metavar="MS-MS", help="Milliseconds: election timeouts are drawn from this range."
    ),
]
FeatureNames = Annotated[
    str | None,
    typer.Option(
        "--features",
        metavar="NAME,NAME",
        help=f"Parts of Raft beyond §5, of {', '.join(FEATURES)}; the same at all nodes.",
        show_default="none",
    ),
]
Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", envvar="RAFT_CHAOS_TOKEN", help="Clients must send it as a bearer token."),
]
AllowHost = Annotated[
    list[str], typer.Option("--allow-host", metavar="NAME", help="A name by which clients may call a node; repeat.")
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Listen on any address without --token or a secret.")]


def timing_for(election_timeout: str, heartbeat: int | None, features: str | None) -> Timing:
    timing = timing_of(election_timeout, heartbeat, HEARTBEATS_PER_TIMEOUT)
    return timing.with_features(Features.of(features_of(features) or ()))


def url_of(host: str, port: int, has_tls: bool) -> str:
    return f"{'https' if has_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def check_reachability(
    host: str, option: str, token: str | None, *, insecure: bool, has_secret: bool, secret_option: str
) -> None:
    """Ends with exit code 254 if other machines could reach a node that asks for no proof."""
    if is_loopback(host) or insecure:
        return
    missing = [name for name, there in (("--token", token), (secret_option, has_secret)) if not there]
    if missing:
        fail(
            f"{option}: other machines can reach {host}, so {' and '.join(missing)} must be given; "
            "--insecure says that everybody who reaches it may use the cluster"
        )
