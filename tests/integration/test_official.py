"""What llama.cpp's own converter writes is what Transformers computes, or is refused by name.

A few of the models of tests/official_models.py; all of them: python -m tests.official_models.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.official_models import convert, make_model, outcomes

pytestmark = [pytest.mark.slow]

EXACT = (
    *("mixtral", "deepseek-v3", "gpt-oss", "gpt2", "falcon", "qwen3-next", "phi", "minimax-m2"),
    *("stablelm-normed", "nemotron-h", "glm4-moe-lite", "granite-hybrid-turning", "gpt2-inner"),
    *("afmoe", "exaone-moe", "mixtral-window", "falcon-h1-gated-norm", "apertus-tied"),
    *("gpt-neox-scaled", "gpt-neox-tied", "olmo2-scaled", "laguna", "mellum"),
    "solar-open",
)
NEAR = {"gemma3n": 1e-5, "gemma4": 2e-6}
"""llama.cpp takes a variance by one less, and reads GELU from a table: KL that is allowed."""
CONTEXTS = {"mixtral-window": 64, "falcon": 256}
REFUSED = {
    "opt": "no architecture for 'OPTForCausalLM'",
    "exaone4-window": "lacks a sliding window unless there are 64 layers",
    "gemma3n-narrow": "lacks Gemma 3n of other sizes than its own: 256 inputs a layer",
    "seed-oss-llama3": "has no frequency factors (rope scaling 'llama3')",
    "falcon-h1-normed-gate": "lacks Falcon H1's norm before its gate",
    "arcee-biased": "lacks biases of attention",
    "deepseek-v3-unscaled": "lacks any but a yarn whose mscale and mscale_all_dim are one number",
    "mellum-full": "lacks Mellum without a layer that has a sliding window",
    "mpt-scaled": "attn_config: softmax_scale",
    "phi-grouped": "lacks grouped key and value heads",
}


def test_what_is_written_is_exact_and_the_rest_is_refused_by_name(tmp_path: Path) -> None:
    for name, outcome in outcomes([*EXACT, *NEAR, *REFUSED], tmp_path):
        if name in REFUSED:
            assert REFUSED[name] in outcome.refusal, outcome
            continue
        assert outcome.refusal == "", (name, outcome)
        assert outcome.kl < NEAR.get(name, 1e-6), (name, outcome)
        assert outcome.wrong_texts == (), (name, outcome)
    contexts = {name: context_of(tmp_path / name / "model.gguf") for name in CONTEXTS}
    assert contexts == CONTEXTS


def test_what_the_converter_would_do_without_a_word_is_looked_after(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    make_model(tmp_path / "hf", "gpt2")
    weights = tmp_path / "hf" / "model.safetensors"
    tensors = load_file(weights)
    tensors["transformer.h.1.mlp.c_fc.weight"][0, 0] = 1e6
    tensors["vision_tower.patch.weight"] = torch.zeros(4, 4)
    save_file(tensors, weights, metadata={"format": "pt"})
    marker = tmp_path / "was-run"
    (tmp_path / "hf" / "tokens.py").write_text(f"open({str(marker)!r}, 'w')\nclass Odd: pass\n")
    settings = tmp_path / "hf" / "tokenizer_config.json"
    fields = json.loads(settings.read_text())
    fields["auto_map"] = {"AutoTokenizer": ["tokens.Odd", None]}
    settings.write_text(json.dumps({**fields, "chat_template": "of the field"}))
    (tmp_path / "hf" / "chat_template.jinja").write_text("of the file")
    ends = {"eos_token_id": [2, 300, 301, 302]}
    (tmp_path / "hf" / "generation_config.json").write_text(json.dumps(ends))
    (told,) = convert([tmp_path], "F16")
    assert "error" not in told, told
    assert told["left_out"] == {"vision_tower.patch.weight": 1}
    assert types_of(tmp_path / "model.gguf")["blk.1.ffn_up.weight"] == "F32"
    assert types_of(tmp_path / "model.gguf")["blk.0.ffn_up.weight"] == "F16"
    assert not marker.exists()
    assert keys_of(tmp_path / "model.gguf") == ["of the file", 2, 300, 301]
    assert "goes on after" in told["notices"][0]["text"]


def context_of(path: Path) -> object:
    import gguf

    reader = gguf.GGUFReader(str(path))
    (key,) = [field for name, field in reader.fields.items() if name.endswith("context_length")]
    return key.contents()


def keys_of(path: Path) -> list[object]:
    import gguf

    reader = gguf.GGUFReader(str(path))
    names = ["chat_template", *(f"ggml.{end}_token_id" for end in ("eos", "eot", "eom"))]
    found = [reader.get_field(f"tokenizer.{name}") for name in names]
    return [field and field.contents() for field in found]


def types_of(path: Path) -> dict[str, str]:
    import gguf

    reader = gguf.GGUFReader(str(path))
    return {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
