"""Whatever a body says, and however much of it: the gateway goes on answering everybody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import Gateway, Starter, Upstream

GUARDED = """
upstreams: {{up: {{url: "{url}"}}}}
guard: default
audit: {{bodies: true}}
limits:
  judging: {{text_bytes: 2000000, seconds: 20}}
"""
Json = dict[str, Any]


def chat(text: str, **more: Any) -> Json:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    found = Upstream()
    yield found
    found.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    starter.stop()


@pytest.fixture
def guarded(upstream: Upstream, start: Starter) -> Gateway:
    return start.config(GUARDED.format(url=upstream.url))


def test_a_long_honest_chat_is_judged_and_answered(guarded: Gateway) -> None:
    prose = "The quick brown fox jumps over the lazy dog. " * 22_000

    status, _, raw = guarded.ask(chat(prose))

    assert status == 200, raw
