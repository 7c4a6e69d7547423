"""Every published schema loads forever, and saving is loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmops_cli.bench.report import BenchReport, Comparison
from llmops_cli.core.errors import UsageError
from llmops_cli.core.report import REPORTS, decode_report, report_kind

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "reports"
SCHEMA_FILES = ROOT / "docs" / "schema"


KINDS = [report_kind(name) for name in REPORTS]
SCHEMAS = sorted(schema for kind in KINDS for schema in (kind.schema, *kind.upgrades))


@pytest.mark.parametrize("schema", SCHEMAS)
def test_golden_report_still_loads(schema: str) -> None:
    path = GOLDEN / f"{schema.replace('/', '-')}.json"
    report = decode_report(path.read_bytes())
    assert type(report) is report_kind(schema).report
    assert decode_report(msgspec.json.encode(report)) == report


def test_an_old_bench_report_keeps_its_numbers() -> None:
    raw = json.loads((GOLDEN / "llmops.bench-1.json").read_text())
    report = decode_report(json.dumps(raw).encode())
    assert isinstance(report, BenchReport)
    for old, new in zip(raw["levels"], report.levels, strict=True):
        assert new.ttft_ms.p50 == old["ttft_ms"]["p50"]
        assert new.client.cpu_share == old["client_cpu_share"]
        assert new.windows[0].found == "whole"


@pytest.mark.parametrize("family", ["prompt-eval", "prompt-optimize"])
def test_digests_that_hold_lines_of_a_file_are_not_known(family: str) -> None:
    """A blank line more made each of these cases another one."""
    now = json.loads((GOLDEN / f"llmops.{family}-2.json").read_text())
    old = json.dumps({**now, "schema": f"llmops.{family}/1"})
    report = msgspec.to_builtins(decode_report(old.encode()))
    cases = report.get("named_cases") or [each["case"] for each in report["test_cases"]]
    assert [each["digest"] for each in cases] == [""]
    assert [each["name"] for each in cases] == ["word=hi, who=you"]


ANYTHING = {"description": "any JSON value"}


def json_schemas() -> dict[str, dict[str, Any]]:
    kinds = {kind.schema.replace("/", "-"): kind.report for kind in KINDS} | {
        "llmops.compare": Comparison
    }
    return {
        f"{name}.schema.json": one_lined(msgspec.json.schema(kind, schema_hook=lambda _: ANYTHING))
        for name, kind in kinds.items()
    }


def one_lined(schema: Any) -> Any:
    """Descriptions are docstrings, which Pythons indent differently."""
    if isinstance(schema, list):
        return [one_lined(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: " ".join(part.split())
        if key == "description" and isinstance(part, str)
        else one_lined(part)
        for key, part in schema.items()
    }


def test_the_published_json_schemas_are_the_current_ones() -> None:
    """After a deliberate change: python -m tests.unit.core.test_report"""
    for name, schema in json_schemas().items():
        assert json.loads((SCHEMA_FILES / name).read_text()) == json.loads(json.dumps(schema)), name


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{", "not a JSON report$"),
        (b" ", "not a JSON report: the file is empty"),
        (b"[" * 100_000, "not a JSON report$"),
        (b'{"schema": "llmops.bench/2", "notes": "\xff"}', "not a JSON report$"),
        (b"[]", "no 'schema'"),
        (b'{"schema": "llmops.bench/99"}', "unknown to this version"),
        (b'{"schema": "llmops.bench/1"}', "broken report"),
        (b'{"schema": "llmops.bench/2"}', "broken report"),
    ],
)
def test_what_is_no_report_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        decode_report(raw)


if __name__ == "__main__":
    SCHEMA_FILES.mkdir(exist_ok=True)
    for name, schema in json_schemas().items():
        (SCHEMA_FILES / name).write_text(json.dumps(schema, indent=2) + "\n")
