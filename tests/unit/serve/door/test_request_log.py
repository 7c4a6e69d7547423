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
from llmops_cli.serve.seen_texts import SeenTexts
from llmops_cli.serve.watch.audit import AuditBodies, AuditLog
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
