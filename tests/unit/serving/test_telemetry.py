"""Gauges of servers whose metrics have other names become ours."""

from __future__ import annotations

import pytest

from llmops_cli.serving.telemetry import read_metrics


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            (
                "# TYPE vllm:num_requests_running gauge\n"
                'vllm:num_requests_running{engine="0",model_name="m"} 3.0\n'
                'vllm:num_requests_running{engine="1",model_name="m"} 2.0\n'
                'vllm:kv_cache_usage_perc{engine="0"} 0.5\n'
                'vllm:kv_cache_usage_perc{engine="1"} 0.1\nvllm:num_requests_waiting{engine="0"} '
                "7\n"
            ),
            {"running": 5, "kv_cache_use": 0.3, "queued": 7},
        ),
        ("tgi_batch_current_size 4\ntgi_queue_size 9\n", {"running": 4, "queued": 9}),
        (
            (
                'sglang:num_running_reqs{model_name="m"} 4\n'
                'sglang:token_usage{model_name="m"} 0.28 1700000000\n'
            ),
            {"running": 4, "kv_cache_use": 0.28},
        ),
        (
            "llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\n",
            {"running": 1, "queued": 2},
        ),
        (
            (
                "llmops_running 1.0\nllmops_waiting 2.0\nllmops_kv_use 0.25\n"
                "llmops_batch_tokens 33.0\n"
            ),
            {"running": 1, "queued": 2, "kv_cache_use": 0.25, "batch_tokens": 33},
        ),
        ("<html>not metrics</html>\nllmops_running many\n", {}),
    ],
)
def test_known_gauges(text: str, found: dict[str, float]) -> None:
    assert read_metrics(text) == pytest.approx(found)
