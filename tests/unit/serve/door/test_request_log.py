"""Lines that wait until their texts were looked at are written when a gateway ends, too."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.door import request_log
from llmops_cli.serve.door.request_log import RequestLog
from llmops_cli.serve.endpoints import CHAT
from llmops_cli.serve.judging.key_search import FoundKey
from llmops_cli.serve.judging.stance import ModelStance
from llmops_cli.serve.seen_texts import SeenTexts
from llmops_cli.serve.watch.audit import AuditBodies, AuditLog
from llmops_cli.serve.watch.key_sightings import KeySightings
from llmops_cli.serve.watch.metrics import Metrics


class Never:
    """Judges who are busy for longer than a gateway waits."""

    async def keys(self, seen: SeenTexts) -> list[Any]:
        del seen
        await asyncio.sleep(60)
        return []

    async def redacted(self, raws: list[bytes]) -> list[str]:
        del raws
        await asyncio.sleep(60)
        return []


class OnlyKeys(Never):
    """They find a key, and then are busy."""

    async def keys(self, seen: SeenTexts) -> list[Any]:
        del seen
        return [FoundKey("input", "openai", b"digest")]


class Bodies(OnlyKeys):
    """They redact too, and never come to judge the answer."""

    async def redacted(self, raws: list[bytes]) -> list[str]:
        del raws
        return ["[asked]", "[said]"]

    async def stance(self, question: str, answers: list[str]) -> ModelStance:
        del question, answers
        await asyncio.sleep(60)
        return ModelStance.COMPLIED


def line_at_the_end(
    judging: Any, context: RequestContext, metrics: Metrics, path: Path
) -> dict[str, Any]:
    """Of one request, whose looks take longer than a gateway waits."""

    async def serve() -> None:
        store: Any = None
        sightings = KeySightings(store, metrics, list)
        log = RequestLog(AuditLog(path, bodies=True), metrics, judging, sightings)
        log.end(context)
        await log.close()

    asyncio.run(serve())
    line: dict[str, Any] = json.loads(path.read_text())
    return line


@pytest.mark.parametrize(
    ("judging", "asked"), [(OnlyKeys(), request_log.NOT_KEPT), (Bodies(), "[asked]")]
)
def test_what_was_found_before_the_end_stands_in_the_line(
    judging: Any, asked: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(request_log, "CLOSE_S", 0.05)
    context = RequestContext(CHAT.path, CHAT)
    seen = SeenTexts(asked=["word " * 5000], question="How?", is_searched=True)
    seen.said.whole(b'{"content": [{"text": "So."}]}')
    context.observed.seen = seen
    context.observed.bodies = AuditBodies(b"secret", b"secret")
    metrics = Metrics()
    line = line_at_the_end(judging, context, metrics, tmp_path / "audit.jsonl")
    assert line["keys"] == ["input openai"]
    assert line["asked"] == asked
    assert line["stance"] == "unjudged"
    assert metrics.keys_unsearched._value.get() == 0


def test_no_line_is_lost_at_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(request_log, "CLOSE_S", 0.05)
    path = tmp_path / "audit.jsonl"
    metrics = Metrics()

    async def serve() -> None:
        judging: Any = Never()
        sightings: Any = None
        log = RequestLog(AuditLog(path, bodies=True), metrics, judging, sightings)
        for status, bodies in ((200, None), (201, AuditBodies(b"secret", b"secret"))):
            context = RequestContext(CHAT.path, CHAT)
            context.observed.status = status
            context.observed.bodies = bodies
            context.observed.seen = SeenTexts(asked=["word " * 5000], is_searched=True)
            log.end(context)
        assert path.read_text() == ""
        await log.close()

    asyncio.run(serve())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(line["status"] for line in lines) == [200, 201]
    assert "secret" not in path.read_text()
    assert metrics.keys_unsearched._value.get() == 2
