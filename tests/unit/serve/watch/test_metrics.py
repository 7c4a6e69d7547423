"""What is counted of a request, and how it is asked for again."""

from __future__ import annotations

import pytest

from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.endpoints import CHAT
from llmops_cli.serve.request import RequestBody
from llmops_cli.serve.watch.metrics import Metrics
from llmops_cli.serve.watch.samples import Samples


def answered(*, status: int = 200, stream: bool = True) -> RequestContext:
    context = RequestContext(CHAT.path, CHAT)
    context.asked.key_id = "k"
    context.asked.body = RequestBody(model="m", stream=stream)
    context.decided.alias = "m"
    observed = context.observed
    observed.status = status
    observed.first_s = 0.2
    observed.upstream = "up"
    observed.side = "stable"
    observed.dollars = 0.5
    observed.usage.input_tokens = 7
    observed.usage.output_tokens = 5
    return context


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def samples_of(metrics: Metrics) -> Samples:
    return Samples(metrics.collected())


def test_a_streamed_answer_is_counted_and_timed(metrics: Metrics) -> None:
    metrics.done(answered(), 1.0)
    found = samples_of(metrics)
    assert found.by("requests_total", "status") == {"200": 1.0}
    assert found.by("tokens_total", "direction") == {"input": 7.0, "output": 5.0}
    assert found.sum("cost_dollars_total", model="m", key="k") == 0.5
    assert found.sum("request_seconds_by_key_total", key="k") == 1.0
    assert found.sum("ttft_seconds_sum", model="m") == pytest.approx(0.2)
    assert found.sum("tpot_seconds_sum", model="m") == pytest.approx(0.2)


def test_a_whole_answer_has_no_times_of_tokens(metrics: Metrics) -> None:
    metrics.done(answered(stream=False), 1.0)
    found = samples_of(metrics)
    assert found.sum("request_seconds_count") == 1.0
    assert found.sum("ttft_seconds_count") == 0.0


def test_a_path_that_does_not_exist_is_no_label(metrics: Metrics) -> None:
    metrics.done(answered(status=404), 0.1)
    assert samples_of(metrics).by("requests_total", "route") == {"other": 1.0}


def test_samples_answer_by_label_and_bucket(metrics: Metrics) -> None:
    metrics.guarded("input", "block", "r1")
    metrics.guarded("input", "block", "r1")
    metrics.guarded("output", "redact", "r2")
    metrics.done(answered(), 0.3)
    found = samples_of(metrics)
    assert found.rows("guard_total", ("side", "rule")) == [
        {"side": "input", "rule": "r1", "count": 2.0},
        {"side": "output", "rule": "r2", "count": 1.0},
    ]
    buckets = found.buckets("request_seconds", "m")
    assert buckets[-1] == ("+Inf", 1.0)
    assert dict(buckets)[0.25] == 0.0
    assert dict(buckets)[0.5] == 1.0
    assert found.buckets("request_seconds", "other") == []
