"""A number that nobody can keep or count with is refused where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.read import read_file

HUGE = "9" * 25
LINES = [
    "limits: {key: {requests_per_minute: N}}",
    "limits: {key: {tokens_per_minute: N}}",
    "limits: {ip: {streams: N}}",
    "limits: {body_bytes: N}",
    "limits: {answer_tokens: N}",
    "limits: {bad_keys_per_minute: N}",
    "limits: {connections: N}",
    "limits: {drain_s: N}",
    "queue: {depth: N}",
    "queue: {wait_s: N}",
    "retries: {most: N}",
    "guard_alert: N",
    "tags: [a, '', b]",
]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("number", [HUGE, "-1", ".inf", "-.inf", ".nan", "1.0e+300"])
def test_what_is_no_number_to_count_with(tmp_path: Path, line: str, number: str) -> None:
    file = tmp_path / "gateway.yaml"
    upstreams = "upstreams: {one: {url: 'http://127.0.0.1:9/v1'}}\n"
    file.write_text(upstreams + line.replace("N", number) + "\n")
    with pytest.raises(UsageError) as raised:
        read_file(file)
    assert f"{file}:2" in raised.value.message
