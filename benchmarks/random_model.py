"""A random-weight Llama of about 0.5B parameters as a sharded Hugging Face folder, for speed and
size benchmarks.

With `chain` it costs as much and says something known: after each token always the same one, in one
circle through the vocabulary. A prompt that holds a stretch of the circle is then copied, any other
goes on to what was never said.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HIDDEN = 1536
INTERMEDIATE = 4096
LAYERS = 20
HEADS = 12
KV_HEADS = 4
VOCAB = 16000
CONTEXT = 4096
FIRST = 300
"""Tokens below are special ones and single bytes."""
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def circle() -> np.ndarray:
    """The tokens in the order in which a chain model says them, shape (VOCAB - FIRST,)."""
    return np.random.default_rng(1).permutation(np.arange(FIRST, VOCAB))


def make(
    folder: Path,
    *,
    layers: int = LAYERS,
    hidden: int = HIDDEN,
    intermediate: int = INTERMEDIATE,
    chain: bool = False,
) -> Path:
    """Writes the folder once; the same seed gives the same bytes."""
    if (folder / "config.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    scale = 0.02
    head = hidden // HEADS

    def matrix(*shape: int) -> np.ndarray:
        # bf16 bits kept as uint16; the header is rewritten below because numpy has no bf16
        return (
            (rng.standard_normal(shape, np.float32) * scale)
            .view(np.uint32)
            .__rshift__(16)
            .astype(np.uint16)
        )

    ones = np.full(hidden, 0x3F80, np.uint16)
    silent = (lambda *shape: np.zeros(shape, np.uint16)) if chain else matrix
    shards = layers // 5 + 1
    weight_map = {}
    for shard in range(shards):
        tensors: dict[str, np.ndarray] = {}
        if shard == shards - 1:
            tensors = {
                "model.embed_tokens.weight": matrix(VOCAB, hidden),
                "model.norm.weight": ones,
            }
            if chain:
                said = circle()
                tensors["lm_head.weight"] = np.zeros((VOCAB, hidden), np.uint16)
                tensors["lm_head.weight"][np.roll(said, -1)] = tensors["model.embed_tokens.weight"][
                    said
                ]
        for layer in range(shard * 5, min(shard * 5 + 5, layers)):
            p = f"model.layers.{layer}."
            tensors |= {
                p + "input_layernorm.weight": ones,
                p + "post_attention_layernorm.weight": ones,
                p + "self_attn.q_proj.weight": matrix(HEADS * head, hidden),
                p + "self_attn.k_proj.weight": matrix(KV_HEADS * head, hidden),
                p + "self_attn.v_proj.weight": matrix(KV_HEADS * head, hidden),
                p + "self_attn.o_proj.weight": silent(hidden, HEADS * head),
                p + "mlp.gate_proj.weight": matrix(intermediate, hidden),
                p + "mlp.up_proj.weight": matrix(intermediate, hidden),
                p + "mlp.down_proj.weight": silent(hidden, intermediate),
            }
        name = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        save_file(tensors, folder / name, metadata={"format": "pt"})
        relabel_bf16(folder / name)
        weight_map |= dict.fromkeys(tensors, name)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    write_tokenizer(folder)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "vocab_size": VOCAB,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": not chain,
        "hidden_act": "silu",
        "torch_dtype": "bfloat16",
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def relabel_bf16(path: Path) -> None:
    """Writes the file again with another header."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(length))
        for name, entry in entries.items():
            if name != "__metadata__":
                entry["dtype"] = "BF16"
        header = json.dumps(entries, separators=(",", ":")).encode()
        body = path.read_bytes()[8 + length :]
        file.seek(0)
        file.write(len(header).to_bytes(8, "little") + header + body)
        file.truncate()


def write_tokenizer(folder: Path) -> None:
    from pydoc_data import topics  # English text that every Python has

    text = list(topics.topics.values())
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        text,
        trainers.BpeTrainer(
            vocab_size=VOCAB,
            special_tokens=["<|bos|>", "<|end|>", "<|user|>", "<|assistant|>"],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    template = (
        "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
        "<|assistant|>"
    )
    settings = {
        "bos_token": "<|bos|>",
        "eos_token": "<|end|>",
        "chat_template": template,
        "add_bos_token": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
