"""Secrets in files by line, and none where a file only speaks of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.guard.secret_lines import secret_lines

ROOT = Path(__file__).parents[3]
KEY = "sk-proj-4fHq8ZsT1vXn6Yb3Lw0KdRj7Mc2Pg9Ua5EiQoBt"


def test_each_is_told_with_its_line_and_without_its_words() -> None:
    text = (
        "upstreams:\n"
        f"  a: {{url: https://h/v1, headers: {{x: '{KEY}'}}}}\n"
        "redis: {url: 'redis://:kj3hXq9pLm@host:6379/0'}\n"
        "# fine: ${KEY}, redis://:${PASSWORD}@host, key_env: OPENAI_API_KEY\n"
        "password: Tr0ub4dor&3\n"
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n"
    )
    assert [(each.line, each.what) for each in secret_lines(text)] == [
        (2, "a key (openai)"),
        (3, "a password"),
        (5, "a password"),
        (6, "a private key"),
    ]


@pytest.mark.parametrize(
    "name",
    ["recipes/gateway.yaml", "docs/DEPLOY.md", "docs/GATEWAY_METRICS.md", "docs/runbooks/queue.md"],
)
def test_our_own_files_have_none(name: str) -> None:
    assert secret_lines((ROOT / name).read_text()) == []
