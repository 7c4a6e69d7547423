"""Every published schema loads forever, and saving is loading."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.core.report import SCHEMAS, decode_report

GOLDEN = Path(__file__).parent.parent / "golden" / "reports"


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
def test_golden_report_still_loads(schema: str) -> None:
    path = GOLDEN / f"{schema.replace('/', '-')}.json"
    report = decode_report(path.read_bytes())
    assert isinstance(report, SCHEMAS[schema])
    assert decode_report(msgspec.json.encode(report)) == report


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{", "not a JSON report"),
        (b"[]", "no 'schema'"),
        (b'{"schema": "llmops.bench/99"}', "unknown to this version"),
        (b'{"schema": "llmops.bench/1"}', "broken report"),
    ],
)
def test_what_is_no_report_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        decode_report(raw)
