"""Tokenizer classes of Transformers that pass over steps of tokenizer.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from transformers.convert_slow_tokenizer import SLOW_TO_FAST_CONVERTERS
from transformers.models.auto.tokenization_auto import (
    TOKENIZER_MAPPING_NAMES,
    tokenizer_class_from_name,
)
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from _shared.protocol import JobError
from llamacpp.class_tokenizer import OTHERS, OWN_STEPS, as_class_reads, class_named
from llamacpp.llama_class import LLAMA_CLASSES

GENERIC = ("TokenizersBackend", "MistralCommonBackend")


def test_every_class_that_makes_steps_of_its_own_is_known() -> None:
    names = {name.removesuffix("Fast") for name in TOKENIZER_MAPPING_NAMES.values() if name}
    names.update(SLOW_TO_FAST_CONVERTERS)
    known = {*OWN_STEPS, *LLAMA_CLASSES, *(f"{name}Tokenizer" for name in OTHERS)}
    unknown = sorted(name for name in names.difference(known, GENERIC) if makes_steps(name))
    assert not unknown


def makes_steps(name: str) -> bool:
    found = tokenizer_class_from_name(name)
    is_of_json = isinstance(found, type) and issubclass(found, TokenizersBackend)
    return is_of_json and "__init__" in vars(found)


@pytest.mark.parametrize(
    ("architecture", "told", "expected"),
    [
        ("LlamaForCausalLM", None, None),
        ("LlamaForCausalLM", "PreTrainedTokenizerFast", None),
        ("LlamaForCausalLM", "MyOwnTokenizer", None),
        ("LlamaForCausalLM", "GPT2TokenizerFast", "GPT2Tokenizer"),
        ("Qwen2ForCausalLM", "LlamaTokenizerFast", "Qwen2Tokenizer"),
        ("Qwen3ForCausalLM", None, "Qwen2Tokenizer"),
        ("Qwen3ForCausalLM", "PreTrainedTokenizerFast", None),
        ("MistralForCausalLM", "BertTokenizer", None),
    ],
)
def test_the_class_is_the_one_that_transformers_takes(
    tmp_path: Path, architecture: str, told: str | None, expected: str | None
) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": told}))
    assert class_named(tmp_path, architecture) == expected


@pytest.mark.parametrize("told", ["RobertaTokenizerFast", "T5Tokenizer", 3, ["GPT2Tokenizer"]])
def test_a_class_of_other_steps_is_refused(tmp_path: Path, told: object) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": told}))
    with pytest.raises(JobError, match=r"Transformers makes a|tokenizer_class is"):
        class_named(tmp_path, "LlamaForCausalLM")


def test_pieces_of_another_kind_are_refused(tmp_path: Path) -> None:
    tokenizer = {"model": {"byte_fallback": True}}
    with pytest.raises(JobError, match=r"makes a Qwen2Tokenizer .* which has byte-level pieces"):
        as_class_reads(tokenizer, "Qwen2Tokenizer", tmp_path)


TEXT = {"Sequence": {"id": "A", "type_id": 0}}
BOS = {"SpecialToken": {"id": "<s>", "type_id": 0}}


def of_template(*pieces: object) -> dict[str, object]:
    step = {"type": "TemplateProcessing", "single": list(pieces)}
    return {"model": {}, "post_processor": {"type": "Sequence", "processors": [step]}}


def test_gpt_neox_puts_nothing_and_a_template_of_the_text_alone_neither(tmp_path: Path) -> None:
    read = as_class_reads(of_template(TEXT), "GPTNeoXTokenizer", tmp_path)
    assert read["normalizer"] == {"type": "NFC"}
    with pytest.raises(JobError, match="puts nothing around a text"):
        as_class_reads(of_template(BOS, TEXT), "GPTNeoXTokenizer", tmp_path)
