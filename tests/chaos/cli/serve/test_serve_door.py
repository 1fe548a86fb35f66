"""`serve`: who is refused, what every answer says to the browser, and what of a folder nobody gets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import report_builders as sample
from cli.serve.serving import Server, serving

SECRET = "nobody may see this"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `one`, in which there is all that must not be shown; beside it a file and a run."""
    around = tmp_path_factory.mktemp("around")
    (around / "outside.txt").write_text(SECRET)
    runs = around / "runs"
    sample.five_nodes(runs / "one", sample.info())
    sample.five_nodes(around / "elsewhere", sample.info())
    one = runs / "one"
    (one / "link.txt").symlink_to(around / "outside.txt")
    (one / "up").symlink_to(around)
    (one / "inside.txt").symlink_to(one / "run.json")
    (runs / "linked").symlink_to(around / "elsewhere")
    os.mkfifo(one / "pipe.txt")
    (one / "secrets").mkdir()
    (one / "secrets" / "peers.txt").write_text(SECRET)
    (one / "node.key").write_text(SECRET)
    (one / "node.key").chmod(0o600)
    (one / "page.html").write_text("<script>alert(1)</script>")
    (one / "nodes" / "n1" / "data.bin").write_bytes(b"\0\1")
    (runs / "notes").mkdir()
    (runs / "notes" / "todo.txt").write_text(SECRET)
    (runs / "loose.txt").write_text(SECRET)
    return runs


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder) as server:
        yield server


# ---- who may ask -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{}", "127.0.0.1", "localhost:1", "", "127.0.0.1.x:{}"])
def test_a_host_that_is_not_this_server_is_refused(server: Server, host: str) -> None:
    answer = server.get("/", Host=host.format(server.port))
    assert answer.status == 403 and answer.text.startswith("Host: ")


def test_a_request_without_a_host_is_refused(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 403 " in connection.recv(64)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_its_own_names_are_welcome(server: Server, name: str) -> None:
    assert server.get("/", Host=f"{name}:{server.port}").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_it_only_shows(server: Server, method: str) -> None:
    answer = server.get("/", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_head_has_the_headers_alone(server: Server) -> None:
    for target in ("/", "/runs/one/files/run.json"):
        answer = server.get(target, "HEAD")
        assert (answer.status, answer.body) == (200, b"") and int(answer.headers["Content-Length"]) > 100


def test_pages_of_other_sites_are_refused_but_a_link_may_be_followed(server: Server) -> None:
    assert server.get("/", Origin="https://evil.example").status == 403
    assert server.get("/", Origin="null").status == 403, "a report is of no origin, and may not read other pages"
    assert server.get("/", Origin=f"http://127.0.0.1:{server.port}").status == 200
    assert server.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors", Sec_Fetch_Dest="image").status == 403
    assert (
        server.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe").status == 403
    )
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert server.get("/", **link).status == 200


# ---- what answers say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/", "/runs/one/", "/runs/one/files/", "/runs/one/files/run.json", "/nothing"])
def test_every_answer_limits_the_browser(server: Server, target: str) -> None:
    headers = server.get(target).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not [name for name in headers if name.lower().startswith("access-control-")]
    assert headers["Server"] == "raft-chaos"


def test_a_report_is_of_no_origin_and_a_file_runs_nothing(server: Server) -> None:
    report = server.get("/runs/one/").headers["Content-Security-Policy"]
    assert report.startswith("sandbox allow-scripts;") and "allow-same-origin" not in report
    assert "connect-src" not in report
    file = server.get("/runs/one/files/page.html").headers
    assert (
        file["Content-Security-Policy"].startswith("sandbox;") and "script-src" not in file["Content-Security-Policy"]
    )


def test_no_text_of_a_run_is_a_page(server: Server) -> None:
    answer = server.get("/runs/one/files/page.html")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == "<script>alert(1)</script>"


def test_other_files_and_large_ones_are_for_saving(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = server.get("/runs/one/files/nodes/n1/data.bin")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''data.bin"
    assert (answer.headers["Content-Type"], answer.body) == ("application/octet-stream", b"\0\1")
    monkeypatch.setattr("raft_chaos.chaos.cli.serve.site.MOST_TEXT_BYTES", 10)
    assert "attachment" in server.get("/runs/one/files/run.json").headers["Content-Disposition"]


def test_a_file_comes_in_pieces(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raft_chaos.chaos.cli.serve.site.CHUNK_BYTES", 7)
    assert server.get("/runs/one/files/run.json").body == (folder / "one" / "run.json").read_bytes()


# ---- what nobody gets --------------------------------------------------------------------------------------------

UP = ["../outside.txt", "../../outside.txt", "%2e%2e/outside.txt", "..%2foutside.txt", "%2e%2e%2f%2e%2e%2foutside.txt"]


@pytest.mark.parametrize(
    "target",
    [
        *(f"/{path}" for path in UP),
        *(f"/runs/{path}" for path in UP),
        *(f"/runs/one/files/{path}" for path in UP),
        "/runs/one/files/nodes/../../../outside.txt",
        "/runs/one/files//etc/passwd",
        "/runs/one/files/%2fetc%2fpasswd",
        "/runs//etc/files/passwd",
        "/runs/%2fetc/files/passwd",
        "/runs/./files/loose.txt",
        "/runs/../files/loose.txt",
        "/runs/one/files/run.json%00.txt",
        "/runs/one%00/",
        "/runs/one/files/link.txt",
        "/runs/one/files/up/outside.txt",
        "/runs/one/files/inside.txt",
        "/runs/one/files/pipe.txt",
        "/runs/one/files/nodes",
        "/runs/one/files/secrets/peers.txt",
        "/runs/one/files/node.key",
        "/runs/one/files/" + "x" * 300,
        "/runs/linked/",
        "/runs/linked/files/run.json",
        "/runs/notes/",
        "/runs/notes/files/todo.txt",
        "/runs/loose.txt/",
        "/loose.txt",
        "/campaigns/loose.txt/",
        "/campaigns/one/",
        "/runs/one/picture.json",
    ],
)
def test_nothing_else_is_there(server: Server, target: str) -> None:
    answer = server.get(target)
    assert answer.status in (400, 404) and SECRET not in answer.text


def test_the_list_of_files_has_no_links_pipes_or_secrets(server: Server) -> None:
    text = server.get("/runs/one/files/").text
    assert 'href="run.json"' in text and 'href="nodes/n1/events-0001.jsonl"' in text
    for hidden in ("link.txt", "inside.txt", "pipe.txt", "outside.txt", "secrets", "node.key"):
        assert hidden not in text
