"""Types by our rules, against what llama.cpp's own quantizer writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmops_cli.models.gguf.header import read_header
from llmops_cli.models.gguf.type_names import FILE_TYPES
from llmops_cli.sizing.served import ServedModel, tensor_sizes
from llmops_cli.sizing.served_models import served_model
from tests.unit.sizing.configs import Config

WIDTH = 256
VOCABULARY = 512
PLAIN: Config = {
    "model_type": "llama",
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": 17,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": VOCABULARY,
    "tie_word_embeddings": False,
}
EIGHT: Config = {
    **PLAIN,
    "model_type": "mixtral",
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 9,
    "intermediate_size": WIDTH,
}
CASES: dict[str, Config] = {
    "plain": PLAIN,
    "grouped, tied": {**PLAIN, "num_key_value_heads": 1, "tie_word_embeddings": True},
    "eight experts": EIGHT,
    "four experts": {**EIGHT, "num_local_experts": 4},
    "rows of no whole blocks": {**PLAIN, "hidden_size": 192, "intermediate_size": 352},
}
SCHEMES = ("Q4_0", "Q8_0", "Q2_K", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_M", "IQ4_XS")
"""That need no importance matrix and are quickly made."""
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate": "ffn_gate_inp",
}
ENDS = {
    "model.embed_tokens.weight": ["token_embd.weight"],
    "model.norm.weight": ["output_norm.weight"],
    "lm_head.weight": ["output.weight"],
}


def file_names(name: str) -> list[str]:
    """A tensor's names in a GGUF file."""
    if name in ENDS:
        return ENDS[name]
    _, _, layer, rest = name.split(".", 3)
    plain = rest.removesuffix(".weight")
    if plain == "mlp.experts.gate_up_proj":
        return [f"blk.{layer}.ffn_gate_exps.weight", f"blk.{layer}.ffn_up_exps.weight"]
    if plain == "mlp.experts.down_proj":
        return [f"blk.{layer}.ffn_down_exps.weight"]
    return [f"blk.{layer}.{NAMES[plain]}.weight"]


def write_base(path: Path, config: Config, model: ServedModel) -> None:
    """A file with the model's shapes, all ones."""
    numpy = pytest.importorskip("numpy")
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("no_vocab")
    experts = config.get("num_local_experts")
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
    for tensor in model.tensors:
        names = file_names(tensor.name)
        shape = list(tensor.shape)
        if len(names) > 1:
            shape[1] //= 2
        kind = numpy.float32 if len(shape) == 1 or "gate.weight" in tensor.name else numpy.float16
        for name in names:
            writer.add_tensor(name, numpy.ones(shape, dtype=kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantize(base: Path, made: Path, scheme: str) -> None:
    llama: Any = pytest.importorskip("llama_cpp")  # Any: bindings without types
    params = llama.llama_model_quantize_default_params()
    params.nthread = 1
    params.ftype = next(number for number, name in FILE_TYPES.items() if name == scheme)
    assert llama.llama_model_quantize(bytes(base), bytes(made), params) == 0


@pytest.mark.parametrize("case", CASES)
def test_each_tensor_takes_what_the_quantizer_writes(case: str, tmp_path: Path) -> None:
    config = CASES[case]
    model = served_model(config, name=case, source="here")
    base = tmp_path / "base.gguf"
    made = tmp_path / "made.gguf"
    write_base(base, config, model)
    for scheme in SCHEMES:
        quantize(base, made, scheme)
        theirs = {each.name: each.size_bytes for each in read_header(made).tensors}
        for name, size_bytes in tensor_sizes(model, scheme).items():
            written = sum(theirs[each] for each in file_names(name))
            assert size_bytes == written, f"{scheme}: {name}"
