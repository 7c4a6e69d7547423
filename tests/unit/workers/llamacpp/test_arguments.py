"""Sizes that follow from the command line."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from llamacpp.server.arguments import ServerArguments, parse_arguments


def arguments(**given: object) -> ServerArguments:
    return ServerArguments(model="m.gguf", port=1, **given)


@pytest.mark.parametrize(
    ("given", "pool"),
    [
        ({"parallel": 2}, 4096),
        ({"parallel": 8}, 8192),
        ({"parallel": 2, "ctx": 9000}, 9000),
        ({"parallel": 8, "kv_tokens": 500}, 500),
    ],
)
def test_the_pool_holds_one_long_request_and_a_share_for_each(
    given: dict[str, int], pool: int
) -> None:
    assert arguments(**given).context_options.pool == pool


@pytest.mark.parametrize(
    ("ctx", "train_context", "pool", "longest"),
    [(0, 512, 9000, 512), (0, 131072, 9000, 4096), (0, 131072, 300, 300), (700, 512, 9000, 700)],
)
def test_a_request_is_as_long_as_model_and_pool_allow(
    ctx: int, train_context: int, pool: int, longest: int
) -> None:
    found = arguments(ctx=ctx).longest_request(train_context=train_context, pool=pool)
    assert found == longest


def test_adapters_are_named_files() -> None:
    assert arguments(lora="a=/x=1.gguf,b=y.gguf").adapters == {"a": "/x=1.gguf", "b": "y.gguf"}


def test_flags_have_the_defaults_of_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["server", "--model", "m.gguf", "--port", "1"])
    assert parse_arguments() == arguments()
    monkeypatch.setattr(
        "sys.argv",
        ["server", "--model", "m.gguf", "--port", "1", "--no-prefix-reuse", "--kv-tokens", "7"],
    )
    assert parse_arguments() == arguments(no_prefix_reuse=True, kv_tokens=7)
