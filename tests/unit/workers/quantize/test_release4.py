"""A folder as Transformers 4 reads it: nothing that decides what a model says is passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from _shared.protocol import JobError
from quantize.release4 import config_of, folder_for_release4, restore_config, tokenizer_settings_of

NEWER = {
    "model_type": "llama",
    "dtype": "bfloat16",
    "layer_types": ["full_attention", "full_attention"],
    "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
}


def test_rotary_parameters_and_type_stand_where_release_4_looks() -> None:
    config = config_of(NEWER)
    assert config["rope_theta"] == 100000.0
    assert config["torch_dtype"] == "bfloat16"
    assert "rope_scaling" not in config
    assert "rope_parameters" not in config
    assert "dtype" not in config


def test_what_scales_the_context_is_kept() -> None:
    rotary = {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": 4.0,
        "partial_rotary_factor": 0.5,
    }
    config = config_of({**NEWER, "rope_parameters": rotary})
    assert config["rope_scaling"] == {"rope_type": "yarn", "factor": 4.0}
    assert config["rope_theta"] == 10000.0
    assert config["partial_rotary_factor"] == 0.5


def test_a_config_of_release_4_stays_as_it_is() -> None:
    older = {"model_type": "llama", "torch_dtype": "float16", "rope_theta": 5000.0}
    assert config_of(older) == older


@pytest.mark.parametrize(
    "change",
    [
        {"layer_types": ["full_attention", "sliding_attention"]},
        {"rope_parameters": {"full_attention": {"rope_theta": 1.0}}},
    ],
    ids=["kinds-of-layers", "rotary-by-layer"],
)
def test_layers_that_differ_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(JobError, match="Transformers 4") as caught:
        config_of({**NEWER, **change})
    assert caught.value.kind == "UsageError"


def test_a_tokenizer_is_read_by_a_class_that_release_4_has() -> None:
    newer = {
        "tokenizer_class": "TokenizersBackend",
        "backend": "tokenizers",
        "extra_special_tokens": ["<x>"],
        "eos_token": "</s>",
    }
    assert tokenizer_settings_of(newer) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "</s>",
    }


def test_weights_are_linked_and_the_artifact_gets_the_source_s_config(tmp_path: Path) -> None:
    source = tmp_path / "source"
    output = tmp_path / "output"
    source.mkdir()
    output.mkdir()
    (source / "config.json").write_text(json.dumps(NEWER))
    (source / "model.safetensors").write_bytes(b"weights")
    (source / "chat_template.jinja").write_text("{{ messages }}")
    with folder_for_release4(source, {"llama"}) as folder:
        assert (folder / "model.safetensors").is_symlink()
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        assert settings["chat_template"] == "{{ messages }}"
        read = json.loads((folder / "config.json").read_text())
        assert read["rope_theta"] == 100000.0
    assert not folder.exists()
    assert (source / "model.safetensors").read_bytes() == b"weights"
    kept = {"quant_method": "gptq", "bits": 4}
    written = {"rope_theta": 10000.0, "quantization_config": kept}
    (output / "config.json").write_text(json.dumps(written))
    restore_config(source, output)
    assert json.loads((output / "config.json").read_text()) == {
        **NEWER,
        "quantization_config": kept,
    }


def test_a_kind_of_model_that_is_newer_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "lfm9"}))
    with (
        pytest.raises(JobError, match="does not know models of type lfm9") as caught,
        folder_for_release4(tmp_path, {"llama"}),
    ):
        pass
    assert caught.value.kind == "UsageError"
