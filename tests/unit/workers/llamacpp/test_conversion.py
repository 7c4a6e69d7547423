"""What decides how a model and its tokenizer are written: rope, splits, spaces, BOS, adapters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

from _shared.protocol import JobError
from llamacpp.architectures import read_config
from llamacpp.lora import paired, scale_of
from llamacpp.lora import read_config as read_adapter
from llamacpp.rope import rope_of, rope_tensors
from llamacpp.splits import SPLITS, split_name
from llamacpp.vocabulary import adds_bos, byte_fallback_vocabulary, prepends_space


def write(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "architecture '(none)' has no GGUF converter"),
        ({"architectures": ["T5"]}, "architecture 'T5'"),
        ({"architectures": ["LlamaForCausalLM"], "quantization_config": {"a": 1}}, "already"),
    ],
)
def test_models_that_cannot_be_converted(tmp_path: Path, config: Any, message: str) -> None:
    write(tmp_path, "config.json", config)
    with pytest.raises(JobError) as caught:
        read_config(tmp_path)
    assert message in caught.value.message


def test_a_folder_without_a_config_and_one_with_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"has no config\.json"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(JobError, match="is not JSON"):
        read_config(tmp_path)


def test_rope_of_either_generation_of_configs() -> None:
    old = rope_of({"rope_theta": 5.0, "rope_scaling": {"type": "linear", "factor": 2.0}})
    new = rope_of({"rope_parameters": {"rope_theta": 5.0, "rope_type": "linear", "factor": 2.0}})
    assert (old["rope_type"], old["rope_theta"]) == (new["rope_type"], new["rope_theta"])
    assert rope_of({})["rope_type"] == "default"
    layered = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}
    assert rope_of({"rope_parameters": layered})["rope_theta"] == 1e6


def test_llama3_factors_keep_short_waves_and_stretch_long_ones() -> None:
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    ((name, factors),) = rope_tensors({"rope_parameters": rope, "head_dim": 64})
    assert name == "rope_freqs.weight"
    assert factors[0] == 1.0
    assert factors[-1] == 8.0
    assert np.all(np.diff(factors) >= 0)


def tokenizer(*steps: dict[str, Any], **model: Any) -> dict[str, Any]:
    return {"pre_tokenizer": {"pretokenizers": list(steps)}, "model": model}


BYTES = {"type": "ByteLevel", "use_regex": False}
DBRX = next(pattern for pattern, name in SPLITS.items() if name == "dbrx")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (tokenizer({"type": "ByteLevel"}), "gpt-2"),
        (tokenizer({"type": "Digits", "individual_digits": True}, {"type": "ByteLevel"}), "smollm"),
        (tokenizer({"type": "Split", "pattern": {"Regex": DBRX}}, BYTES), "dbrx"),
        (
            tokenizer({"type": "Split", "pattern": {"Regex": DBRX}}, BYTES, ignore_merges=True),
            "llama-bpe",
        ),
        (tokenizer(BYTES), None),
        (tokenizer({"type": "Digits"}, {"type": "ByteLevel"}), None),
        (tokenizer({"type": "Split", "pattern": {"Regex": "x"}}, BYTES), None),
        (tokenizer({"type": "Metaspace"}), None),
        ({"pre_tokenizer": None, "model": {}}, None),
    ],
)
def test_a_splitting_rule_has_its_name_or_is_refused(given: Any, name: str | None) -> None:
    path = Path("tokenizer.json")
    if name is None:
        with pytest.raises(JobError, match="no known name"):
            split_name(given, path)
    else:
        assert split_name(given, path) == name


def test_scores_follow_the_merges_and_added_tokens_lie_over_them() -> None:
    given = {
        "model": {
            "vocab": {"<unk>": 0, "<0x0A>": 1, "a": 2, "ab": 3, "abc": 4},
            "merges": [["a", "b"], "ab c"],
            "unk_token": "<unk>",
        },
        "added_tokens": [
            {"id": 5, "content": "<s>", "special": True},
            {"id": 6, "content": "▁x"},
            {"id": 99, "content": "outside"},
        ],
    }
    table = byte_fallback_vocabulary(given, 8)
    assert table.tokens == ["<unk>", "<0x0A>", "a", "ab", "abc", "<s>", " x", "[PAD7]"]
    assert table.types == [2, 6, 1, 1, 1, 3, 4, 5]
    assert table.scores[2:5] == [-2.0, 0.0, -1.0]


def test_spaces_and_bos_are_as_the_tokenizer_has_them(tmp_path: Path) -> None:
    assert prepends_space({"pre_tokenizer": {"prepend_scheme": "first"}})
    assert prepends_space({"normalizer": {"normalizers": [{"type": "Prepend"}]}})
    assert not prepends_space({"normalizer": {"type": "Replace"}})
    assert adds_bos(tmp_path)
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {}}, {"Sequence": {}}]}
    write(tmp_path, "tokenizer.json", {"post_processor": {"processors": [template]}})
    assert adds_bos(tmp_path)
    write(tmp_path, "tokenizer.json", {"post_processor": None})
    assert not adds_bos(tmp_path)
    write(tmp_path, "tokenizer_config.json", {"add_bos_token": True})
    assert adds_bos(tmp_path)


def test_an_adapters_scale_is_pefts() -> None:
    config = {"lora_alpha": 8, "alpha_pattern": {"k_proj": 16}}
    assert scale_of(config, "layers.0.q_proj", 4) == 2.0
    assert scale_of(config, "layers.0.k_proj", 4) == 4.0
    assert scale_of({**config, "use_rslora": True}, "layers.0.q_proj", 4) == 4.0


def test_folders_that_are_no_adapter_of_ours(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="is no PEFT adapter"):
        read_adapter(tmp_path)
    write(tmp_path, "adapter_config.json", {"peft_type": "IA3"})
    with pytest.raises(JobError, match="is a IA3 adapter"):
        read_adapter(tmp_path)
    with pytest.raises(JobError, match=r"no adapter_model\.safetensors"):
        paired(tmp_path)
