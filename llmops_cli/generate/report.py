"""What a batch came to."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from llmops_cli.core.report import Manifest, ReportKind

SCHEMA = "llmops.generate/1"


class Stop(StrEnum):
    """Why a run ended before its last row."""

    REQUESTS = "the cap of requests"
    TOKENS = "the cap of tokens"
    MONEY = "the cap of money"
    INTERRUPTED = "interrupted"
    SERVER_GONE = "the server is gone"


class Forecast(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run would take. None where nothing tells: no limit of answers, no price, no rate.

    `input_tokens`: about; `output_tokens`, `cost`: at most. `duration_s`: at `--rate`.
    """

    rows: int
    forms: dict[str, int]
    answered_before: int
    input_tokens: int
    output_tokens: int | None
    cost: float | None
    duration_s: float | None


class GenerateReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of a file that were asked, and what that took.

    `answered`, `failed`, `error_kinds` and tokens are of all rows, those of earlier parts (which
    are `answered_before`) included; `requests`, `retries`, times and `cpu_s` of this part.
    `cost` is None without prices. `latency_*`: of this part's answers, retries and waits included.
    """

    schema: str = SCHEMA
    manifest: Manifest
    output: str
    rows: int
    answered: int
    failed: int
    not_asked: int
    answered_before: int
    error_kinds: dict[str, int]
    input_tokens: int
    output_tokens: int
    cost: float | None
    requests: int
    duration_s: float
    rows_per_s: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    cpu_s: float
    torn_lines: int = 0
    stopped: Stop | None = None


KIND = ReportKind(schema=SCHEMA, report=GenerateReport, upgrades={})
