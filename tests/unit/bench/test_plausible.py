"""Saved reports that somebody has changed, and reports of older versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.bench.report import BenchReport
from llmops_cli.bench.saved import load_name
from llmops_cli.core.errors import UsageError
from llmops_cli.core.report import decode_report

GOLDEN = Path("tests/golden/reports")
Json = dict[str, Any]


def golden(version: int) -> Json:
    return dict(json.loads((GOLDEN / f"llmops.bench-{version}.json").read_text()))


def levels_of(report: Json) -> BenchReport:
    found = decode_report(json.dumps(report).encode())
    assert isinstance(found, BenchReport)
    return found


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("errors",), 10**6, "1,000,000 errors of"),
        (("errors",), -1, "errors is -1"),
        (("requests_per_s",), 1e9, "requests served of"),
        (("output_tokens_per_s",), -5, "output_tokens_per_s is -5"),
        (("measured",), 10**6, "1000000 measured"),
        (("hidden_tokens",), 10**9, "more hidden tokens than tokens"),
        (("ttft_ms", "p50"), 1e9, "p50 of TTFT 1e+09 is over"),
        (("ttft_ms", "min"), -3, "min -3 is under 0"),
        (("ttft_ms", "count"), 10**6, "1,000,000 samples of"),
        (("e2e_ms", "mean"), 1e9, "the mean 1e+09 is outside"),
        (("e2e_ms", "ci95"), {"p50": [9, 2]}, "ci95: p50 from 9 to 2"),
        (("rates_ci95",), {"requests_per_s": [3, 1]}, "rates: requests_per_s from 3 to 1"),
        (("valid",), False, "does not fit its reasons"),
        (("error_kinds",), {"timeout": 3}, "kinds of 3"),
        (
            ("windows",),
            [{"start_s": 3, "end_s": 1, "found": "steady"}],
            "a window from 3 to 1 s",
        ),
    ],
    ids=lambda found: ".".join(found) if isinstance(found, tuple) else None,
)
def test_what_no_run_can_measure_is_refused(
    place: tuple[str, ...],
    value: object,
    words: str,
) -> None:
    report = golden(2)
    found = report["levels"][0]
    *parents, last = place
    for name in parents:
        found = found[name]
    found[last] = value
    with pytest.raises(UsageError, match="impossible report: level 1") as refused:
        levels_of(report)
    assert words in refused.value.message


@pytest.mark.parametrize("version", [1, 2])
def test_a_report_that_nobody_changed_is_read(version: int) -> None:
    assert levels_of(golden(version)).levels


def test_levels_of_older_reports_have_the_names_of_newer_ones() -> None:
    old = golden(1)
    old["levels"][1]["concurrency"] = None
    old["levels"][1]["rate_per_s"] = 2.5
    names = [load_name(level) for level in levels_of(old).levels]
    assert names == ["1 stream", "2.5/s", "16 streams"]


def test_a_label_of_another_version_does_not_hide_a_level() -> None:
    report = golden(2)
    report["levels"][0]["concurrency"] = 1
    report["levels"][0]["label"] = "1 streams"
    assert load_name(levels_of(report).levels[0]) == "1 stream"
