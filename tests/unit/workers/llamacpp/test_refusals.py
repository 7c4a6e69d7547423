"""What llama.cpp would compute or cut differently is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

from _shared.protocol import JobError
from llamacpp.added_tokens import AddedToken
from llamacpp.architectures import ARCHITECTURES
from llamacpp.byte_level import byte_level_split, byte_level_vocabulary, normalizer_notice
from llamacpp.defaults import complete
from llamacpp.hparams import check

PATH = Path("tokenizer.json")


@pytest.mark.parametrize(
    ("architecture", "given", "message"),
    [
        ("LlamaForCausalLM", {"hidden_act": "gelu"}, "llama has no activation but silu"),
        ("Gemma2ForCausalLM", {"hidden_activation": "silu"}, "gemma2 has no activation but gelu"),
        ("Qwen2ForCausalLM", {"head_dim": 7}, "qwen2 has no head size of its own"),
        ("Phi3ForCausalLM", {"head_dim": 7}, "phi3 has no head size of its own"),
        ("Qwen3ForCausalLM", {"attention_bias": True}, "qwen3 has no bias after attention"),
        ("Gemma3ForCausalLM", {"use_bidirectional_attention": True}, "sees only what came before"),
        ("Gemma3ForCausalLM", {"attn_logit_softcapping": 5.0}, "not supported for Gemma 3"),
        ("Gemma2ForCausalLM", {"layer_types": ["full_attention"]}, "names 1 layers of 26"),
        ("Gemma2ForCausalLM", {"layer_types": ["full_attention"] * 26}, "always has layers with"),
        ("Gemma2ForCausalLM", {"sliding_window": None}, "sliding_window is null"),
        ("Gemma2ForCausalLM", {"layer_types": ["chunked"] * 26}, r"kinds \['chunked'\]"),
    ],
)
def test_sizes_that_llama_cpp_fixes(
    architecture: str,
    given: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(JobError, match=message):
        check(complete(given, architecture), ARCHITECTURES[architecture].gguf)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_each_class_as_it_is_by_default_is_not_refused(architecture: str) -> None:
    check(complete({}, architecture), ARCHITECTURES[architecture].gguf)


WHOLE = {"type": "ByteLevel", "add_prefix_space": False}


def tokenizer(**change: Any) -> dict[str, Any]:
    model = {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}
    return {"model": model, "pre_tokenizer": WHOLE, "normalizer": None, **change}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pre_tokenizer": {**WHOLE, "add_prefix_space": True}}, "add_prefix_space"),
        ({"model": {**tokenizer()["model"], "dropout": 0.1}}, r"dropout 0\.1"),
        ({"model": {**tokenizer()["model"], "end_of_word_suffix": "</w>"}}, "suffix '</w>'"),
    ],
)
def test_steps_that_byte_level_bpe_lacks(change: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match=f"byte-level BPE does not have .*{message}"):
        byte_level_split(tokenizer(**change), PATH, [])


def test_whole_words_are_a_fault_only_where_merges_do_not_make_them() -> None:
    model = {**tokenizer()["model"], "ignore_merges": True}
    assert byte_level_split(tokenizer(model=model), PATH, []) == "gpt-2"
    alone = {**model, "vocab": {**model["vocab"], "ba": 3}}
    with pytest.raises(JobError, match="ignore_merges True"):
        byte_level_split(tokenizer(model=alone), PATH, [])
    added = [AddedToken(3, "ba", special=True)]
    assert byte_level_split(tokenizer(model=alone), PATH, added) == "gpt-2"


def test_normalizers_are_refused_but_the_one_that_few_texts_need() -> None:
    assert normalizer_notice(tokenizer(), PATH) is None
    composed = normalizer_notice(tokenizer(normalizer={"type": "NFC"}), PATH)
    assert composed is not None
    for kind in ("Lowercase", "NFKC", "NFD", "StripAccents"):
        steps = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": kind}]}
        with pytest.raises(JobError, match=f"the normalizer {kind}"):
            normalizer_notice(tokenizer(normalizer=steps), PATH)


def test_a_tokenizer_that_makes_more_tokens_than_the_model_has_is_refused() -> None:
    with pytest.raises(JobError, match="makes 3 tokens and the model's vocabulary has 2"):
        byte_level_vocabulary(tokenizer(), 2, [])
    beyond = [AddedToken(2, "ab", special=True)]
    assert byte_level_vocabulary(tokenizer(), 2, beyond).tokens == ["a", "b"]
