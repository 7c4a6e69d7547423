"""Which addresses of a body reach a server that would fetch them."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmops_cli.gateway_file.config import GatewayConfig, LimitsConfig
from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.endpoints import CHAT, MESSAGES, RESPONSES, Endpoint
from tests.unit.serve.scripted import ScriptedGateway

OWN = [
    "http://169.254.169.254/latest/meta-data/",
    "HTTP://169.254.169.254/",
    " http://169.254.169.254/",
    "//169.254.169.254/x",
    "http:\\\\169.254.169.254\\x",
    "http://me@169.254.169.254:80/a b",
    "http://[::ffff:169.254.169.254]/",
    "http://[fd00:ec2::254]/",
    "http://metadata.google.internal./x",
    "http://localhost:8080/admin",
    "http://a.localhost/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://１２７.0.0.1/",
    "http://[::1]/",
    "http://0.0.0.0/",
    "file:///etc/passwd",
    "FILE:/etc/passwd",
    "gopher://example.org/",
    "http:///x",
]
OTHERS = [
    "https://cdn.example.org/a.png",
    "http://10.0.0.5:9000/bucket/a.png",
    "https://1.1.1.1/a.png",
    "s3://bucket/a.png",
    "data:image/png;base64,iVBORw0KGgo=",
]


def chat_with(url: str) -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    return {"model": "m", "messages": [{"role": "user", "content": [part]}]}


def statuses(
    folder: Path,
    bodies: list[dict[str, Any]],
    *,
    hosts: list[str] | None = None,
    endpoint: Endpoint = CHAT,
) -> list[tuple[int, int]]:
    """Of each body, and how many requests an upstream got."""

    async def ask() -> list[tuple[int, int]]:
        gateway = ScriptedGateway(folder)
        gateway.configure(
            GatewayConfig(
                upstreams={"a": UpstreamConfig(url="http://a.example.org/v1")},
                models={"m": ModelConfig(pool=["a"])},
                limits=LimitsConfig(media_hosts=hosts),
            )
        )
        found = []
        for body in bodies:
            before = len(gateway.opened)
            answered = await gateway.ask(body, endpoint=endpoint)
            found.append((answered.status, len(gateway.opened) - before))
        return found

    return asyncio.run(ask())


def test_no_server_fetches_what_a_machine_has_for_itself(tmp_path: Path) -> None:
    assert statuses(tmp_path, list(map(chat_with, OWN))) == [(400, 0)] * len(OWN)
    assert statuses(tmp_path, list(map(chat_with, OTHERS))) == [(200, 1)] * len(OTHERS)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (
            RESPONSES,
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "URL"}]}]},
        ),
        (
            RESPONSES,
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "URL"}]}]},
        ),
        (
            CHAT,
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "video_url", "video_url": {"url": "URL"}}],
                    }
                ]
            },
        ),
        (
            CHAT,
            {
                "messages": [
                    {"role": "tool", "content": [{"type": "image_url", "image_url": "URL"}]}
                ]
            },
        ),
        (
            MESSAGES,
            {
                "max_tokens": 5,
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "url", "url": "URL"}}],
                    }
                ],
            },
        ),
    ],
)
def test_it_holds_wherever_an_address_may_stand(
    tmp_path: Path, endpoint: Endpoint, body: dict[str, Any]
) -> None:
    text = msgspec.json.encode({"model": "m", **body}).decode()
    wrong = msgspec.json.decode(text.replace("URL", OWN[0]))
    assert statuses(tmp_path, [wrong], endpoint=endpoint) == [(400, 0)]


def test_the_file_names_the_hosts_that_are_allowed(tmp_path: Path) -> None:
    urls = [
        "https://cdn.example.org/a.png",
        "https://EXAMPLE.org/a.png",
        "https://example.org.evil.net/a.png",
        "http://127.0.0.1:9000/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,iVBORw0KGgo=",
    ]
    found = statuses(
        tmp_path, list(map(chat_with, urls)), hosts=[".example.org", "example.org", "127.0.0.1"]
    )
    assert [status for status, _ in found] == [200, 200, 400, 200, 400, 200]
    found = statuses(tmp_path, list(map(chat_with, urls)), hosts=[])
    assert [status for status, _ in found] == [400, 400, 400, 400, 400, 200]


def test_a_text_may_speak_of_any_address(tmp_path: Path) -> None:
    text = "http://localhost:8080/ is where it runs"
    source = {"type": "text", "media_type": "text/plain", "data": text}
    parts = [{"type": "text", "text": text}, {"type": "document", "source": source}]
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": parts}]}
    assert statuses(tmp_path, [body], endpoint=MESSAGES) == [(200, 1)]


def test_where_a_text_is_from_is_fetched_by_nobody(tmp_path: Path) -> None:
    """A tool names the origin of what it found as it likes."""
    for source in ("file:///handbook.pdf", "http://localhost:3000/docs", "wiki:handbook"):
        found = {"type": "text", "text": "Hi", "source": source}
        body = {"model": "m", "messages": [{"role": "tool", "content": [found]}]}
        assert statuses(tmp_path, [body]) == [(200, 1)], source


@pytest.mark.parametrize("head", [b"\xff\xfb\x90\xc4", b"\xff\xff\xff\xff"])
def test_sound_in_base64_that_begins_with_slashes_is_no_address(
    tmp_path: Path, head: bytes
) -> None:
    """MP3 does, and silence does too."""
    sound = base64.b64encode(head + bytes(range(256)) * 8).decode()
    part = {"type": "audio", "audio": sound}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    assert statuses(tmp_path, [body], hosts=["cdn.example.org"]) == [(200, 1)]
