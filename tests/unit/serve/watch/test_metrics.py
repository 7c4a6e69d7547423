"""What is counted of a request, and how it is asked for again."""

from __future__ import annotations

import pytest
from msgspec import structs

from llmops_cli.serve.context import Ended, RequestContext
from llmops_cli.serve.endpoints import CHAT
from llmops_cli.serve.request import RequestBody
from llmops_cli.serve.upstreams.errors import ConnectionLost, FirstByteTimeout, MalformedAnswer
from llmops_cli.serve.watch.labels import STATUSES, VALUES_MOST
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


def labels_of(metrics: Metrics, name: str) -> list[dict[str, str]]:
    return [sample.labels for sample in samples_of(metrics).of(name)]


def test_the_time_of_a_request_has_the_class_of_its_status(metrics: Metrics) -> None:
    metrics.done(answered(), 1.0)
    metrics.done(answered(status=429), 0.001)
    found = samples_of(metrics)
    assert found.by("request_seconds_count", "class") == {"2xx": 1.0, "4xx": 1.0}
    assert found.sum("request_seconds_sum", **{"class": "2xx"}) == 1.0


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (ConnectionLost(OSError("secret words of an upstream")), "ConnectionLost"),
        (MalformedAnswer("<html>"), "MalformedAnswer"),
        (FirstByteTimeout(), "FirstByteTimeout"),
        (503, "503"),
        (529, "529"),
        (777, "other"),
        (299, "2xx"),
    ],
)
def test_a_failure_s_words_are_no_label(
    metrics: Metrics, failure: Exception | int, kind: str
) -> None:
    metrics.upstream_failed("up", failure)
    assert labels_of(metrics, "upstream_errors_total") == [{"upstream": "up", "kind": kind}]


def test_what_clients_and_upstreams_make_up_is_no_label(metrics: Metrics) -> None:
    for number in range(100, 1000):
        context = answered(status=number)
        context.asked.route = f"/v1/{number}"
        metrics.done(context, 0.1)
    labels = labels_of(metrics, "requests_total")
    assert {each["route"] for each in labels} == {"other"}
    statuses = {each["status"] for each in labels}
    assert statuses <= {*map(str, STATUSES), "1xx", "2xx", "3xx", "4xx", "5xx", "other"}


def test_a_broken_answer_is_counted_as_one(metrics: Metrics) -> None:
    broken = answered()
    broken.observed.ended = Ended.BROKEN
    metrics.done(broken, 1.0)
    metrics.done(answered(), 1.0)
    assert samples_of(metrics).sum("broken_answers_total", model="m") == 1.0


def test_dollars_are_counted_by_the_tags_that_are_asked_for(metrics: Metrics) -> None:
    metrics.tags = ["team"]
    for number in range(300):
        context = answered()
        tags = {"team": f"t{number}", "project": "x"}
        context.asked.key = structs.replace(context.asked.key, tags=tags)
        metrics.done(context, 1.0)
    found = samples_of(metrics).by("cost_dollars_by_tag_total", "value")
    assert len(found) == VALUES_MOST + 1
    assert sum(found.values()) == 150.0
    assert {each["tag"] for each in labels_of(metrics, "cost_dollars_by_tag_total")} == {"team"}
