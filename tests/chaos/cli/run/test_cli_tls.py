"""TLS from the command line: the certificates, a cluster that the real curl reaches, and a run."""

from __future__ import annotations

import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from builders.commands import RAFT_CHAOS, Command, background, only_run, raft_chaos
from builders.processes import FIRST_PORT, free_ports
from builders.waiting import eventually
from raft_chaos.chaos.schedule.file import load
from raft_chaos.chaos.targets import certificates as module
from raft_chaos.chaos.targets.certificate_folders import make
from raft_chaos.chaos.targets.certificates import CLIENT, Certificates
from raft_chaos.invariants.verdict import EXIT_USAGE
from raft_chaos.raft.network.tls import Tls, TlsError
from raft_chaos.reports.write import render

NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


# ---- certs -----------------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_certs_makes_a_set_that_nodes_can_use(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    code, out, _ = command("certs", folder, "--nodes", "n1,n2", "--hosts", "db.example,10.0.0.1", "--days", "3")
    assert code == 0 and out.startswith(f"made in {folder}: ca, n1, n2, client\n")
    assert set(contents(folder)) == {
        f"{owner}.{end}" for owner in ("ca", "n1", "n2", "client") for end in ("key", "pem")
    }
    for key in folder.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert Tls(Certificates(folder).files("n2")).check_own("n2") == ["n2", "db.example", "10.0.0.1"]
    assert Certificates(folder).files("n1").cert in out and Certificates(folder).curl_options() in out


def test_a_second_call_keeps_what_exists_and_adds_what_is_missing(command: Command, tmp_path: Path) -> None:
    command("certs", tmp_path, "--nodes", "n1,n2")
    before = contents(tmp_path)
    code, out, _ = command("certs", tmp_path, "--nodes", "n1,n2,n3")
    after = contents(tmp_path)
    assert code == 0 and out.startswith(f"made in {tmp_path}: n3; kept: ca, n1, n2, client\n")
    assert {name: after[name] for name in before} == before and set(after) - set(before) == {"n3.pem", "n3.key"}
    Tls(Certificates(tmp_path).files("n3")).check_own("n3")

    (tmp_path / "ca.key").unlink()  # it is kept elsewhere
    assert command("certs", tmp_path, "--nodes", "n1,n2,n3")[0] == 0
    code, _, said = command("certs", tmp_path, "--nodes", "n4")
    assert code == EXIT_USAGE and "ca.key: cannot be read (No such file or directory), and it signs" in said

    assert command("certs", tmp_path, "--nodes", "n1,n2", "--overwrite")[0] == 0
    assert all(contents(tmp_path)[name] != before[name] for name in before)
    with pytest.raises(TlsError, match="cannot be used with the CA"):
        Tls(Certificates(tmp_path).files("n3")).check_own("n3")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nodes", "N1"], "'N1' cannot be in a certificate: with TLS, expected a node's name to be a DNS name"),
        (["--nodes", "n1,n1"], "'n1' cannot be a node: another certificate has this name"),
        (["--nodes", "ca"], "'ca' cannot be a node: another certificate has this name"),
        (["--nodes", "localhost"], "'localhost' cannot be a node: another certificate has this name"),
        (["--nodes", "n1,,n2"], "--nodes: expected names with commas between them"),
        (["--nodes", "n1", "--hosts", "bücher.example"], "give the name as DNS has it"),
        (["--nodes", "n1", "--days", "0"], "--days"),
        ([], "--nodes"),
    ],
)
def test_bad_arguments_of_certs_are_named(command: Command, tmp_path: Path, words: list[str], said: str) -> None:
    code, _, err = command("certs", tmp_path / "tls", *words)
    assert code == EXIT_USAGE and said in err and "Traceback" not in err
    assert not (tmp_path / "tls").exists()


def test_a_folder_that_cannot_be_written_is_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = command("certs", tmp_path / "file" / "tls", "--nodes", "n1")
    assert (code, err) == (EXIT_USAGE, f"raft-chaos: certs: {tmp_path}/file/tls: Not a directory\n")


def test_without_the_library_one_sentence_says_what_to_install(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    for words in (["certs", tmp_path, "--nodes", "n1"], ["run", "--tls"], ["cluster", "--tls", "--data", tmp_path]):
        code, _, err = command(*words)
        assert code == EXIT_USAGE and "cryptography, which is not installed; run: pip install 'raft-chaos[tls]'" in err


def test_nothing_else_imports_the_library() -> None:
    look = (
        "import sys; from raft_chaos.chaos.cli import commands, lazy; [lazy.load(one) for one in commands.COMMANDS]; "
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", look], timeout=60).returncode == 0


# ---- cluster and node ------------------------------------------------------------------------------------------------


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)


@NEEDS_CURL
@pytest.mark.live
def test_the_printed_curl_commands_work_and_nothing_less_does() -> None:
    http_port = free_ports(3, FIRST_PORT)
    raft_port = free_ports(3, http_port + 3)
    with background(
        *(RAFT_CHAOS, "cluster", "--tls", "--election-timeout", "150-300"),
        *("--http-port", str(http_port), "--raft-port", str(raft_port)),
    ) as command:
        eventually("the cluster is up", lambda: "Ctrl-C ends the cluster" in command.stderr)
        command.family()
        put, status = (f"curl -sS --noproxy '*' {line}" for line in re.findall(r"curl (.*)", command.stderr))
        assert re.findall(r"n\d  (\S+)", command.stderr)[0] == f"https://127.0.0.1:{http_port}"
        for place in range(3):  # also by way of a redirect
            line = put.replace(f":{http_port}/", f":{http_port + place}/")
            eventually("the command is carried out", lambda line=line: '"ok":true' in shell(line).stdout)  # type: ignore[misc]
        assert '"node":"n1"' in shell(status).stdout

        ca = re.findall(r"--cacert (\S+)", status)[0]
        without = f"curl -sS --noproxy '*' https://127.0.0.1:{http_port}/status"
        assert "certificate required" in shell(f"{without} --cacert {ca}").stderr
        assert "self-signed certificate" in shell(without).stderr
        assert "this port speaks https" in shell(without.replace("https", "http")).stdout
        key = Path(ca).with_name("client.key")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600

        assert command.interrupt() == 0 and "Traceback" not in command.stderr
        eventually("every process is gone", command.all_gone)
        assert not list(command.temp.iterdir())


def test_certificates_that_a_cluster_cannot_use_are_named_before_it_starts(
    command: Command, tmp_path: Path, certificates: Certificates
) -> None:
    make(tmp_path / "expired", ["n1", "n2", "n3"], days=0)
    make(tmp_path / "elsewhere", ["n1", "n2", "n3"], hosts=["db.example"])
    for words, said in (
        ([tmp_path / "none"], "--tls-dir: .*none/n1.pem: cannot be read: No such file"),
        ([tmp_path / "expired"], "--tls-dir: .*n1.pem: the certificate, or the CA in .* has expired; make new ones"),
        ([tmp_path / "elsewhere"], "--host: .*n1.pem is not for 127.0.0.1, so no client could check it"),
        ([certificates.folder, "--nodes", "5"], "--tls-dir: .*n5.pem: cannot be read: No such file"),
        ([tmp_path / "none", "--host", "0.0.0.0"], "--tls-dir: .*n1.pem: cannot be read"),  # and no word of a token
    ):
        code, _, err = command("cluster", "--tls-dir", *words)
        assert code == EXIT_USAGE and re.fullmatch(f"raft-chaos: {said}.*\n", err), err


@pytest.mark.slow
@pytest.mark.live
def test_a_cluster_keeps_the_certificates_with_its_data(tmp_path: Path) -> None:
    http_port = free_ports(6, FIRST_PORT)
    words = ("cluster", "--tls", "--data", str(tmp_path), "--nodes", "1", "--http-port", str(http_port))
    kept: list[dict[str, bytes]] = []
    for _ in range(2):
        with background(RAFT_CHAOS, *words, "--raft-port", str(http_port + 3)) as command:
            eventually("the cluster is up", lambda command=command: "Ctrl-C ends" in command.stderr)  # type: ignore[misc]
            kept.append(contents(tmp_path / "tls"))
            command.family()
            assert command.interrupt() == 0
    assert kept[0] == kept[1] and f"{CLIENT}.key" in kept[0]


def test_the_options_of_a_node_belong_together(command: Command, tmp_path: Path) -> None:
    code, _, err = command("node", "--name", "n1", "--data", tmp_path, "--tls-cert", "c", "--tls-ca", "a")
    assert code == EXIT_USAGE
    assert err == "raft-chaos: --tls-key: missing; TLS needs all of --tls-cert, --tls-key, --tls-ca\n"


# ---- run -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--world", "sim"], "--tls: in the world sim the harness carries each message itself"),
        (["--world", "lockstep"], "--tls: in the world lockstep the harness carries each message itself"),
        (["--target-command", "true"], "--tls: the harness makes certificates for our own Raft only"),
    ],
)
def test_a_run_that_cannot_use_tls_says_so(command: Command, tmp_path: Path, words: list[str], said: str) -> None:
    code, _, err = command("run", "--tls", *words, "--out", tmp_path / "runs")
    assert code == EXIT_USAGE and said in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.live
def test_a_run_with_tls_is_valid_and_its_faults_have_their_effects(tmp_path: Path) -> None:
    done = raft_chaos("run", "--tls", "--seed", "4", "--nodes", "3", "--duration", "8", "--out", str(tmp_path))
    run = only_run(tmp_path)
    info = run.load_info()
    assert (done.returncode, info.verdict) == (0, "valid"), render(run, "text")
    assert "--tls" in shlex.split(info.repro)
    kinds = {fault.action.kind() for fault in load(run.schedule).faults}
    assert kinds >= {"kill", "partition"}
    assert not list(run.path.rglob("*.key"))
    for node in info.nodes:
        assert "no link to" not in (run.node(node) / "stderr.log").read_text()


@pytest.mark.slow
@pytest.mark.live
def test_the_keys_of_a_run_are_removed_even_if_its_controller_is_killed(tmp_path: Path) -> None:
    with background(RAFT_CHAOS, "run", "--tls", "--seed", "1", "--out", str(tmp_path)) as command:
        keys = eventually("the keys are made", lambda: list(command.temp.glob("raft-chaos-*/n5.key")))
        eventually("nodes run", lambda: list(tmp_path.glob("*/nodes/n1/*.jsonl")))
        command.family()
        assert all(stat.S_IMODE(key.stat().st_mode) == 0o600 for key in keys)
        command.sigkill()
        eventually("every process is gone", command.all_gone)
        eventually("nothing is left", lambda: not list(command.temp.iterdir()))
