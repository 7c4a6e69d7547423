"""GGUF heads by range reads: only what is needed, from the named host, from servers of any kind."""

from __future__ import annotations

import re
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.models.gguf import remote
from llmops_cli.models.gguf.remote import MOST_READ_BYTES, PIECE_BYTES, read_remote
from llmops_cli.runtime import ranges
from tests.gguf_bytes import ALIGNMENT, STRING, Tensor, array, gguf, key, text

MIB = 1 << 20


class FileServer(ThreadingHTTPServer):
    """Serves `files` by ranges; `odd` names what it does otherwise."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self.odd = ""
        self.stopping = threading.Event()
        self.asked: list[tuple[str, int, int]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no error here."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Ranges of the server's files, and its oddities."""

    protocol_version = "HTTP/1.1"
    server: FileServer

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        odd = self.server.odd
        path = self.path.partition("?")[0]
        raw = self.server.files.get(path)
        if odd == "elsewhere":
            self._redirect("http://192.0.2.1/model.gguf")
        elif odd == "circle":
            self._redirect(self.path)
        elif path == "/old.gguf":
            self._redirect("/model.gguf")
        elif odd == "drip":
            self._drip()
        elif raw is None:
            self.send_error(404)
        elif odd == "whole":
            self._send(200, {}, raw)
        else:
            self._send_range(raw, path, odd)

    def _send_range(self, raw: bytes, path: str, odd: str) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert found is not None
        begin = int(found[1])
        size = self.server.sizes.get(path, len(raw))
        end = min(int(found[2]) + 1, size)
        self.server.asked.append((path, begin, end))
        part = raw[begin:end].ljust(end - begin, b"\0")
        told = {
            "": f"bytes {begin}-{end - 1}/{size}",
            "other": f"bytes {begin + 1}-{end}/{size}",
            "words": "bytes all of it",
            "grows": f"bytes {begin}-{end - 1}/{size + begin}",
            "huge": f"bytes {begin}-{end - 1}/{1 << 52}",
        }
        headers = {"Content-Range": told.get(odd, told[""])}
        if odd == "packed":
            headers["Content-Encoding"] = "gzip"
        if odd == "short":
            self.close_connection = True
            self.send_response(206)
            self.send_header("Content-Range", told[""])
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part[:10])
            return
        self._send(206, headers, part)

    def _redirect(self, place: str) -> None:
        self._send(302, {"Location": place}, b"")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        self.close_connection = True
        try:
            self.wfile.write(b"HTTP/1.1 206 OK\r\n")
            for number in range(100):
                self.wfile.write(f"X-{number}: 1\r\n".encode())
                self.wfile.flush()
                if self.server.stopping.wait(0.05):
                    return
        except OSError:
            return


@pytest.fixture
def server() -> Iterator[FileServer]:
    found = FileServer()
    thread = threading.Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.stopping.set()
    found.shutdown()
    thread.join()
    found.server_close()


def _model(words: int = 100, *, keys: dict[str, object] | None = None) -> bytes:
    content = b"".join(text(f"word{number}") for number in range(words))
    own: dict[str, object] = {
        "general.architecture": "llama",
        "tokenizer.ggml.tokens": array(STRING, words, content),
        "tokenizer.ggml.scores": array(6, 2 * MIB, b"\0" * (8 * MIB)),
        **(keys or {}),
    }
    return gguf(own, [Tensor("token_embd.weight", (64, 100), 0, 0, 4 * 6400)])


def test_a_head_is_read_and_what_lies_between_is_not(server: FileServer) -> None:
    """Two million scores of 8 MiB are passed over; weights are not asked for."""
    raw = _model()
    server.files["/a/model.gguf"] = raw
    server.sizes["/a/model.gguf"] = len(raw) + 100 * MIB
    model = read_remote(f"{server.url}/a/model.gguf")
    assert model.architecture == "llama"
    assert model.tensors[0].shape == (64, 100)
    assert model.stem == "model"
    read = sum(end - begin for _, begin, end in server.asked)
    assert read <= 3 * PIECE_BYTES


def test_texts_that_cross_pieces_are_read_as_in_a_local_file(server: FileServer) -> None:
    words = 200_000
    server.files["/model.gguf"] = _model(words, keys={"llama.block_count": 7})
    model = read_remote(f"{server.url}/model.gguf")
    assert model.header.number("llama.block_count") == 7
    assert len(server.asked) > 3


def test_a_redirect_on_the_same_host_is_followed(server: FileServer) -> None:
    server.files["/model.gguf"] = _model()
    assert read_remote(f"{server.url}/old.gguf").tensors


def test_all_parts_are_read(server: FileServer) -> None:
    for number in range(2):
        keys = {"general.architecture": "llama", "split.count": 2, "split.no": number}
        tensors = [Tensor(f"blk.{number}.attn_q.weight")]
        server.files[f"/m-0000{number + 1}-of-00002.gguf"] = gguf(keys, tensors)
    model = read_remote(f"{server.url}/m-00002-of-00002.gguf?download=true")
    assert [each.name for each in model.tensors] == ["blk.0.attn_q.weight", "blk.1.attn_q.weight"]


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ("whole", "does not answer requests for ranges"),
        ("elsewhere", r"another host \(192.0.2.1\)"),
        ("circle", "redirects in a circle"),
        ("other", "another range"),
        ("words", "does not say which range"),
        ("huge", "another range"),
        ("packed", "packs what it sends"),
        ("short", "cannot be read"),
    ],
)
def test_an_odd_server_is_one_line(server: FileServer, odd: str, said: str) -> None:
    server.files["/model.gguf"] = _model()
    server.odd = odd
    with pytest.raises(UsageError, match=said) as caught:
        read_remote(f"{server.url}/model.gguf")
    assert "\n" not in caught.value.message


def test_a_file_that_changes_meanwhile_is_refused(server: FileServer) -> None:
    server.files["/model.gguf"] = _model(200_000)
    server.odd = "grows"
    with pytest.raises(UsageError, match="has changed"):
        read_remote(f"{server.url}/model.gguf")


def test_a_server_that_drips_is_left(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "MOST_S", 0.3)
    server.odd = "drip"
    with pytest.raises(UsageError, match=r"longer than 0\.3 s"):
        read_remote(f"{server.url}/model.gguf")


def test_a_head_without_an_end_is_left_at_a_bound(server: FileServer) -> None:
    """A file of a petabyte whose texts each lie a megabyte behind the last one."""
    spread = struct.pack("<Q", MIB - 8) + b"x" * (MIB - 8)
    head = gguf({"a": array(STRING, 1 << 20, b"")}, [])
    server.files["/model.gguf"] = head[: -(len(head) % ALIGNMENT) or None] + spread * 70
    server.sizes["/model.gguf"] = 1 << 49
    with pytest.raises(UsageError):
        read_remote(f"{server.url}/model.gguf")
    read = sum(end - begin for _, begin, end in server.asked)
    assert read <= MOST_READ_BYTES + PIECE_BYTES


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"<html>no</html>", "no GGUF file"),
        (b"GG", "no GGUF file"),
        (gguf(tensor_count=1 << 40), "1,099,511,627,776 tensors"),
        (gguf(key_count=1 << 40), "keys"),
        (gguf(version=9), "version 9"),
        (gguf({}, [Tensor("a", (1 << 40, 1 << 40))]), "values"),
        (gguf()[:-40], "whole GGUF"),
        (gguf({"general.type": "adapter"}), "no model"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + key("k" * 70_000, 1), "a name of"),
    ],
)
def test_a_hostile_head_is_one_line(server: FileServer, raw: bytes, said: str) -> None:
    server.files["/model.gguf"] = raw
    with pytest.raises(UsageError, match=said):
        read_remote(f"{server.url}/model.gguf")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://user:word@127.0.0.1/m.gguf", "password"),
        ("http://127.0.0.1/m.gguf?token=abc", "token"),
        ("http:///m.gguf", "no http"),
        ("http://127.0.0.1:99999/m.gguf", "no http"),
        ("http://127.0.0.1:1/m.gguf", "refused"),
        ("http://127.0.0.1/m m.gguf", "no http"),
    ],
)
def test_a_bad_address_is_one_line(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_remote(url)


def test_a_part_of_many_is_not_asked_for_all(server: FileServer) -> None:
    keys = {"general.architecture": "llama", "split.count": 10_000, "split.no": 0}
    name = "/m-00001-of-10000.gguf"
    server.files[name] = gguf(keys, [Tensor("a")])
    with pytest.raises(UsageError, match="10,000 parts"):
        read_remote(server.url + name)
    assert remote.MOST_REMOTE_PARTS < 10_000
    assert len(server.asked) == 1
