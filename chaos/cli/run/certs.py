"""`raft-chaos certs`: the certificates of a cluster, for TLS."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.targets.certificate_folders import DAYS, HOSTS, make
from raft_chaos.chaos.targets.certificates import CA, CLIENT, Certificates


def certs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; it is made if it does not exist.")],
    nodes: Annotated[str, typer.Option(metavar="NAMES", help="The nodes, with commas, such as n1,n2,n3.")],
    hosts: Annotated[
        str, typer.Option(metavar="NAMES", help="Names and addresses by which clients call the nodes, with commas.")
    ] = ",".join(HOSTS),
    days: Annotated[
        int, typer.Option(min=1, max=36_500, metavar="DAYS", help="How long the certificates are valid.")
    ] = DAYS,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make all anew, the CA too. By default what exists is kept.")
    ] = False,
) -> Result:
    """Makes a CA, and certificates for the nodes of a cluster and for its clients.

    Keys are for their owner only (mode 600). A second call adds what is missing. Each node needs its own two files and
    ca.pem; ca.key is only needed to add a node. Exit codes: 0 made, 254 bad arguments.
    """
    names, addresses = _split(nodes, "--nodes"), _split(hosts, "--hosts")
    try:
        made = make(folder, names, hosts=addresses, days=days, overwrite=overwrite)
    except OSError as error:
        fail(f"certs: {error.filename}: {error.strerror}" if error.filename else f"certs: {error}")
    kept = [owner for owner in (CA, *names, CLIENT) if owner not in made]
    certificates = Certificates(folder)
    one = certificates.files(names[0])
    lines = [
        f"made in {folder}: {', '.join(made) or 'nothing'}" + (f"; kept: {', '.join(kept)}" if kept else ""),
        f"a node:    raft-chaos node --name {names[0]} --tls-cert {quote(one.cert)} --tls-key {quote(one.key)} "
        f"--tls-ca {quote(one.ca)} ...",
        f"a client:  curl {certificates.curl_options()} https://...",
    ]
    return Result(page=lines)


def _split(text: str, option: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if "" in parts:
        fail(f"{option}: expected names with commas between them, got {text!r}")
    return parts
