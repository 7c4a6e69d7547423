"""Records to metrics, exactly as docs/METRICS.md defines them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from llmops_cli.bench.load import LevelRun
from llmops_cli.core.record import Record
from llmops_cli.core.report import Level
from llmops_cli.core.stats import summarize

LAG_LIMIT_MS = 10.0
LAG_LIMIT_SHARE = 0.1


def ttft_ms(record: Record) -> float | None:
    """From the intended send to the first chunk with text."""
    return None if record.first_ns is None else (record.first_ns - record.intended_ns) / 1e6


def tpot_ms(record: Record) -> float | None:
    """Mean time per output token after the first; None with fewer than two tokens."""
    if record.first_ns is None or record.end_ns is None or record.output_tokens < 2:
        return None
    return (record.end_ns - record.first_ns) / 1e6 / (record.output_tokens - 1)


def e2e_ms(record: Record) -> float | None:
    """From the intended send to the last chunk with text."""
    return None if record.end_ns is None else (record.end_ns - record.intended_ns) / 1e6


def itl_ms(record: Record) -> list[float]:
    """Gaps between consecutive chunks with text."""
    return [(later - earlier) / 1e6 for earlier, later in pairwise(record.chunk_ns)]


def analyse(run: LevelRun) -> Level:
    """One level's metrics over its successful requests; failed ones only count as errors."""
    good = [record for record in run.records if record.error is None]
    ends = [record.end_ns for record in good if record.end_ns is not None]
    starts = [record.intended_ns for record in run.records]
    duration_s = (max(ends) - min(starts)) / 1e9 if ends else run.duration_s
    output = sum(record.output_tokens for record in good)
    total = output + sum(record.input_tokens for record in good)
    per_s = 1 / duration_s if duration_s else 0.0
    ttft = summarize([value for record in good if (value := ttft_ms(record)) is not None])
    lag = summarize(run.lags_ms)
    reasons = []
    if run.aborted:
        reasons.append("the engine died during this level")
    if not good:
        reasons.append("no request succeeded")
    limit_ms = max(LAG_LIMIT_MS, LAG_LIMIT_SHARE * (ttft.p50 or 0))
    if lag.p95 is not None and lag.p95 > limit_ms:
        reasons.append(f"the client was late: its timers lag {lag.p95:.1f} ms (p95), the limit is {limit_ms:.1f} ms")
    return Level(
        concurrency=run.concurrency,
        rate_per_s=None,
        requests=len(run.records),
        errors=len(run.records) - len(good),
        duration_s=duration_s,
        ttft_ms=ttft,
        tpot_ms=summarize([value for record in good if (value := tpot_ms(record)) is not None]),
        itl_ms=summarize([gap for record in good for gap in itl_ms(record)]),
        e2e_ms=summarize([value for record in good if (value := e2e_ms(record)) is not None]),
        requests_per_s=len(good) * per_s,
        output_tokens_per_s=output * per_s,
        total_tokens_per_s=total * per_s,
        input_tokens=total - output,
        output_tokens=output,
        cached_tokens=sum(record.cached_tokens for record in good),
        client_cpu_share=run.cpu_s / run.duration_s if run.duration_s else 0.0,
        client_lag_ms=lag,
        valid=not reasons,
        invalid_reasons=reasons,
        error_kinds=dict(Counter((record.error or "").split(":")[0] for record in run.records if record.error)),
    )
