"""Keys of llama.cpp's converter that a folder knows better, by a writer's own store of them."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

from _shared.protocol import JobError
from llamacpp.mended_keys import cut_at_window, require_rope_factors

WINDOWED = {"sliding_window": 32}


def converter(arch: str, fields: dict[str, Any], **written: int) -> Any:
    """What a class of theirs is to those who change it."""
    keys = {f"{arch}.{name}": SimpleNamespace(value=value) for name, value in written.items()}
    writer = SimpleNamespace(arch=arch, kv_data=[keys])
    return SimpleNamespace(hparams=fields, gguf_writer=writer, set_gguf_parameters=lambda: None)


@pytest.mark.parametrize(
    ("architecture", "fields", "beyond_window", "context", "kinds"),
    [
        ("Starcoder2ForCausalLM", WINDOWED, False, 32, ["context-cut"]),
        ("Starcoder2ForCausalLM", WINDOWED, True, 256, ["beyond-window"]),
        ("Starcoder2ForCausalLM", {"sliding_window": None}, False, 256, []),
        ("Starcoder2ForCausalLM", {"sliding_window": 4096}, False, 256, []),
        ("Qwen3MoeForCausalLM", {**WINDOWED, "use_sliding_window": False}, False, 256, []),
        ("SmolLM3ForCausalLM", {**WINDOWED, "layer_types": ["full_attention"]}, False, 256, []),
        ("GraniteForCausalLM", WINDOWED, False, 256, []),
    ],
)
def test_a_window_that_llama_cpp_lacks_cuts_the_context_and_is_told(
    architecture: str,
    fields: dict[str, Any],
    beyond_window: bool,
    context: int,
    kinds: list[str],
) -> None:
    told: list[dict[str, Any]] = []
    model = converter("any", fields, context_length=256)
    cut_at_window(model, told, architecture=architecture, beyond_window=beyond_window)
    model.set_gguf_parameters()
    assert model.gguf_writer.kv_data[0]["any.context_length"].value == context
    assert [notice["kind"] for notice in told] == kinds


def test_a_window_that_is_in_the_file_cuts_nothing() -> None:
    told: list[dict[str, Any]] = []
    model = converter("any", WINDOWED, context_length=256)
    model.gguf_writer.kv_data[0]["any.attention.sliding_window"] = SimpleNamespace(value=32)
    cut_at_window(model, told, architecture="MixtralForCausalLM", beyond_window=False)
    model.set_gguf_parameters()
    assert model.gguf_writer.kv_data[0]["any.context_length"].value == 256
    assert told == []


@pytest.mark.parametrize(
    ("kind", "made", "is_refused"),
    [
        ("llama3", [], True),
        ("llama3", ["rope_freqs.weight"], False),
        ("longrope", ["rope_factors_long.weight"], False),
        ("yarn", [], False),
    ],
)
def test_a_scaling_by_factors_is_refused_where_no_factors_are_written(
    kind: str, made: list[str], is_refused: bool
) -> None:
    def generate() -> Iterator[tuple[str, None]]:
        for name in made:
            yield name, None

    model = converter("any", {})
    model.rope_parameters = {"rope_type": kind}
    model.generate_extra_tensors = generate
    require_rope_factors(model)
    if not is_refused:
        assert [name for name, _ in model.generate_extra_tensors()] == made
        return
    with pytest.raises(JobError, match="no frequency factors"):
        list(model.generate_extra_tensors())
