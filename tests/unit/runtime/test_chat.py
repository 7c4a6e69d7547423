"""The chat client against servers that are busy, broken, strict or elsewhere."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.chat import (
    ChatClient,
    ChatEndpoint,
    ChatSettings,
    Filtered,
    TokenUse,
    Unanswered,
    chat_endpoint,
    message,
)
from llmops_cli.runtime.http import Http

KEY = "sk-planted-key"


class Host:
    """A server that answers with what `replies` says, the last one for ever."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, dict[str, str], object]] = []
        self.seen: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._reply()

            def do_GET(self) -> None:
                self._reply()

            def _reply(self) -> None:
                outer.seen.append({name.lower(): value for name, value in self.headers.items()})
                place = min(len(outer.seen), len(outer.replies)) - 1
                status, headers, body = outer.replies[place]
                raw = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        serve = partial(self._server.serve_forever, poll_interval=0.01)
        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def host() -> Iterator[Host]:
    found = Host()
    yield found
    found.close()


@pytest.fixture
def other() -> Iterator[Host]:
    found = Host()
    yield found
    found.close()


def said(text: str, **more: object) -> dict[str, object]:
    return {"choices": [{"message": {"role": "assistant", "content": text}}], **more}


def ask(endpoint: ChatEndpoint, *, retries: int = 0) -> tuple[str, TokenUse]:
    settings = ChatSettings(max_tokens=8, retries=retries, timeout_s=5)

    async def run() -> tuple[str, TokenUse]:
        async with ChatClient(endpoint, settings) as client:
            return await client.ask([message("user", "x" * 40)]), client.used

    return asyncio.run(run())


def test_an_answer_is_counted_by_the_server_or_by_us(host: Host) -> None:
    host.replies = [(200, {}, said("ok")), (200, {}, said("ok", usage={"prompt_tokens": 3}))]
    endpoint = chat_endpoint(f"{host.url}/v1/", "m", key=KEY)
    text, used = ask(endpoint)
    assert (text, used.requests, used.input_tokens) == ("ok", 1, 10)
    assert host.seen[0]["authorization"] == f"Bearer {KEY}"
    assert ask(endpoint)[1].input_tokens == 3


def test_no_key_no_authorization(host: Host) -> None:
    host.replies = [(200, {}, said("ok"))]
    ask(chat_endpoint(host.url, "m"))
    assert "authorization" not in host.seen[0]


def test_busy_servers_are_asked_again(host: Host) -> None:
    host.replies = [(429, {"Retry-After": "0.01"}, {}), (503, {}, {}), (200, {}, said("ok"))]
    assert ask(chat_endpoint(host.url, "m"), retries=2)[0] == "ok"
    host.seen.clear()
    with pytest.raises(Unanswered, match="http 503"):
        ask(chat_endpoint(host.url, "m"), retries=1)


def test_a_filter_and_a_refusal_of_the_request_are_two_things(host: Host) -> None:
    host.replies = [(400, {}, {"error": {"code": "content_filter"}}), (400, {}, {})]
    with pytest.raises(Filtered):
        ask(chat_endpoint(host.url, "m"))
    with pytest.raises(Unanswered, match="http 400"):
        ask(chat_endpoint(host.url, "m"))


def test_what_is_no_answer_is_said(host: Host) -> None:
    host.replies = [(200, {}, {"choices": []})]
    with pytest.raises(Unanswered, match="no answer in the reply"):
        ask(chat_endpoint(host.url, "m"))


@pytest.mark.parametrize("status", [200, 401, 503])
@pytest.mark.parametrize("kind", ["", "overloaded_error"])
@pytest.mark.parametrize("before", ["bad key Bearer ", "x" * 290])
def test_a_key_that_a_server_repeats_is_hidden(
    status: int, kind: str, before: str, host: Host
) -> None:
    error = {"type": kind, "message": f"{before}{KEY} is wrong"}
    host.replies = [(status, {}, {"error": error})]
    with pytest.raises(Unanswered) as caught:
        ask(chat_endpoint(host.url, "m", key=KEY))
    assert before in caught.value.detail
    assert KEY[:8] not in caught.value.detail


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_key_follows_no_redirect(status: int, host: Host, other: Host) -> None:
    other.replies = [(200, {}, said("ok"))]
    host.replies = [(status, {"Location": f"{other.url}/v1/chat/completions"}, {})]
    with pytest.raises(Unanswered):
        ask(chat_endpoint(host.url, "m", key=KEY))
    http = Http({"Authorization": f"Bearer {KEY}", "X-Api-Key": KEY})
    assert http.get_text(f"{host.url}/v1/models", timeout_s=5) is None
    assert http.status(f"{host.url}/v1/models", timeout_s=5) == status
    assert http.post_json(f"{host.url}/v1/models", {}, timeout_s=5) is None
    assert KEY not in str(other.seen)


def test_single_calls_follow_a_redirect_on_their_own_host(host: Host) -> None:
    host.replies = [(301, {"Location": f"{host.url}/v1/models/"}, {}), (200, {}, {"data": []})]
    http = Http({"Authorization": f"Bearer {KEY}"})
    assert http.get_text(f"{host.url}/v1/models", timeout_s=5) == '{"data": []}'


def test_an_endpoint_does_not_show_its_key() -> None:
    endpoint = chat_endpoint("http://host", "m", key=KEY)
    assert KEY not in f"{endpoint} {endpoint!r}"
    with pytest.raises(UsageError, match="--attacker-url"):
        chat_endpoint("http://user:word@host", "m", field="attacker_url")
