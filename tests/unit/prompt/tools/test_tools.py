"""Tools: what they give, and that they reach nothing that was not declared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.tools.hosts import HostList, is_public
from llmops_cli.prompt.tools.table import tools_of
from llmops_cli.prompt.tools.tool import ToolFailed, ToolSettings


def use(name: str, text: str, **settings: object) -> str:
    tool = tools_of([name], ToolSettings(**settings))[name]  # type: ignore[arg-type]
    return asyncio.run(tool.use(text))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("the key is 1234")
    root = tmp_path / "files"
    (root / "deep").mkdir(parents=True)
    (root / "rivers.txt").write_text("The Elbe is 1,094 km long.\n\nThe Rhine is 1,233 km long.\n")
    (root / "deep" / "cities.md").write_text("Dresden lies on the Elbe.\n")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "up").symlink_to(tmp_path)
    return root


def test_the_calculator_calculates_and_says_why_not() -> None:
    assert use("calculator", "(12 + 7) * 3") == "57"
    with pytest.raises(ToolFailed, match="division by zero"):
        use("calculator", "1/0")


def test_search_gives_the_paragraphs_with_most_of_the_words(folder: Path) -> None:
    found = use("search", "How long is the Rhine?", files=folder).split("\n")
    assert found[0] == "rivers.txt: The Rhine is 1,233 km long."
    assert "Dresden" in use("search", "Dresden", files=folder)
    with pytest.raises(ToolFailed):
        use("search", "nothing of this kind 1234 key", files=folder / "deep")


def test_lookup_gives_a_file_or_its_lines_with_a_word(folder: Path) -> None:
    assert use("lookup", "deep/cities.md", files=folder) == "Dresden lies on the Elbe.\n"
    assert use("lookup", "rivers.txt: rhine", files=folder) == "The Rhine is 1,233 km long."


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "link.txt",
        "up/secret.txt",
        "deep/../../secret.txt",
        "/etc/passwd",
        "nothing.txt",
        "deep",
        "",
        "a\0b",
        "x" * 5000,
    ],
)
def test_no_path_leads_out_of_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(ToolFailed):
        use("lookup", name, files=folder)
    with pytest.raises(ToolFailed):
        use("lookup", f"{name}: key", files=folder)


def test_search_sees_nothing_behind_a_link(folder: Path) -> None:
    with pytest.raises(ToolFailed):
        use("search", "1234", files=folder)


@pytest.fixture
def web() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/to/"))
                self.end_headers()
                return
            text = "x" * 5000 if self.path == "/large" else f"page {self.path}"
            self.send_response(404 if self.path == "/none" else 200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_get_asks_hosts_of_the_list(web: str) -> None:
    assert use("get", f"http://{web}/a?b=c", hosts=[web]) == "page /a?b=c"
    assert use("get", f"http://{web}/to//b", hosts=[web]) == "page /b"
    assert len(use("get", f"http://{web}/large", hosts=[web], most_bytes=100)) == 100
    with pytest.raises(ToolFailed, match="http 404"):
        use("get", f"http://{web}/none", hosts=[web])


@pytest.mark.parametrize(
    "url",
    [
        "http://{web}/to/http://169.254.169.254/latest/meta-data/",
        "http://{web}/to/http://localhost:1/",
        "http://{web}/to/file:///etc/passwd",
        "http://{web}@169.254.169.254/",
        "http://other.example/",
        "http://localhost/",
        "http://[::1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "file:///etc/passwd",
        "ftp://{web}/",
        "not a url",
        "",
    ],
)
def test_get_asks_no_other(web: str, url: str) -> None:
    with pytest.raises(ToolFailed):
        use("get", url.format(web=web), hosts=[web])


def test_a_name_on_the_list_that_means_a_private_address_is_refused() -> None:
    with pytest.raises(ToolFailed):
        use("get", "http://localhost.localdomain/", hosts=["localhost.localdomain"])
    hosts = HostList(["docs.example.org", "*.example.com", "10.0.0.1:8000"])
    assert hosts.allows("docs.example.org", 443)
    assert hosts.allows("a.example.com", 80)
    assert not hosts.allows("example.com", 80)
    assert not hosts.allows("docs.example.org", 22)
    assert not hosts.allows("evil-example.com", 443)
    assert not hosts.allows_address("docs.example.org", "127.0.0.1")
    assert not hosts.allows_address("docs.example.org", "::ffff:10.0.0.2")
    assert hosts.allows_address("x.internal", "10.0.0.1")
    assert not is_public("169.254.169.254")
    assert is_public("1.1.1.1")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("search", {}, "needs a folder"),
        ("lookup", {"files": Path("/nowhere/at/all")}, "no folder"),
        ("get", {}, "needs the hosts"),
        ("get", {"hosts": ["http://a/b"]}, "is no host"),
        ("get", {"hosts": ["*"]}, "is no host"),
        ("calculater", {}, "unknown tool"),
    ],
)
def test_what_a_tool_lacks_is_told_before_anything_is_asked(
    name: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        use(name, "x", **settings)


def test_results_are_shortened() -> None:
    assert json.dumps(use("calculator", "10 ** 900")).startswith('"1000')
