"""Without keys: who may ask from a browser."""

from __future__ import annotations

import pytest

from llmops_cli.gateway_file.config import CorsConfig, GatewayConfig
from llmops_cli.serve.door.own_names import OwnNames
from llmops_cli.serve.refusal import Refusal

NAMES = OwnNames(
    GatewayConfig(
        upstreams={},
        keys_required=False,
        hosts=["Gateway.internal"],
        cors=CorsConfig(origins=["https://chat.example.org"]),
    )
)


def is_let_in(*headers: tuple[bytes, bytes]) -> bool:
    try:
        NAMES.check(list(headers))
    except Refusal as refusal:
        assert refusal.status == 403
        return False
    return True


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"localhost:8080", True),
        (b"LOCALHOST", True),
        (b"app.localhost:1", True),
        (b"localhost.", True),
        (b"127.0.0.1:8080", True),
        (b"127.8.9.1", True),
        (b"[::1]:8080", True),
        (b"gateway.internal:8080", True),
        (b"evil.example", False),
        (b"localhost.evil.example", False),
        (b"evil.example:localhost", False),
        (b"localhost:evil.example", False),
        (b"localhost:80@evil.example", False),
        (b"[::1]evil.example", False),
        (b"[::1", False),
        (b"127.0.0.1.evil.example", False),
        (b"0.0.0.0:8080", False),
        (b"192.168.0.4", False),
        (b"[fe80::1]", False),
        (b"2130706433", False),
        (b"", False),
        (b"\xff\xfe", False),
    ],
)
def test_only_names_of_ours_are_answered(host: bytes, expected: bool) -> None:
    assert is_let_in((b"host", host)) is expected


def test_one_bad_host_of_two_is_enough() -> None:
    assert not is_let_in((b"host", b"localhost"), (b"host", b"evil.example"))
    assert not is_let_in()


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (b"http://localhost:8080", True),
        (b"https://localhost:8080", True),
        (b"https://chat.example.org", True),
        (b"http://localhost:3000", False),
        (b"http://127.0.0.1:8080", False),
        (b"https://evil.example", False),
        (b"null", False),
        (b"", False),
        (b"file://", False),
    ],
)
def test_pages_of_others_are_refused(origin: bytes, expected: bool) -> None:
    assert is_let_in((b"host", b"localhost:8080"), (b"origin", origin)) is expected
