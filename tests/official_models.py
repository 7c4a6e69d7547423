"""Tiny random models of architectures that llama.cpp's own converter writes, and what comes of it.

`python -m tests.official_models [NAME...]` converts each as F32 and prints how far llama.cpp's
logits and tokens are from those of Transformers: the table of docs/CONVERT.md.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from llmops_cli.core.progress import Silent
from llmops_cli.models.converter import OFFICIAL, converter_folder
from llmops_cli.runtime.paths import WORKERS
from tests.integration.test_convert import TEXTS, corpus, llama_logits, write_byte_fallback

sys.path.insert(0, str(WORKERS))

SIZE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "vocab_size": 600,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GPT2 = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}
FOUR_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
NARROW_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
ROUTED_EXPERTS = {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
LATENT = {
    "q_lora_rank": 48,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "num_key_value_heads": 4,
}
LINEAR = {
    "num_hidden_layers": 4,
    "head_dim": 32,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
MAMBA_HEADS = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 16, "mamba_n_groups": 1}
FALCON_H1 = {"head_dim": 16, "mamba_d_ssm": 64, **MAMBA_HEADS, "mamba_n_heads": 4}
GEMMA3N = {
    "head_dim": 16,
    "intermediate_size": 8192,  # llama.cpp divides a variance by one less
    "vocab_size_per_layer_input": 600,
    "sliding_window": 16,
    "num_kv_shared_layers": 0,
}
YARN_SCALED = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "llama_4_scaling_beta": 0.1,
}


class Tiny(NamedTuple):
    """A model of `kind`'s configuration class, and how its tokenizer splits."""

    kind: str
    split: str
    fields: dict[str, Any]


NEMOTRON_H = {
    "num_hidden_layers": 4,
    "layers_block_type": ["mamba", "attention", "mamba", "mlp"],
    "mamba_num_heads": 8,
    "mamba_head_dim": 16,
    "ssm_state_size": 16,
    "n_groups": 1,
    "head_dim": 16,
}
SLIDING_EXPERTS = {
    **NARROW_EXPERTS,
    "num_hidden_layers": 4,
    "head_dim": 16,
    "sliding_window": 16,
    "num_shared_experts": 1,
}
LLAMA3_SCALED = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "attention_factor": 1.3,
}
PLAIN_ROPE = {"rope_type": "default", "rope_theta": 1e4}
SLIDES = "sliding_attention"
MELLUM = {
    **NARROW_EXPERTS,
    "num_hidden_layers": 4,
    "head_dim": 16,
    "sliding_window": 16,
    "layer_types": [SLIDES, SLIDES, SLIDES, "full_attention"],
    "rope_parameters": {"full_attention": YARN, SLIDES: PLAIN_ROPE},
}
LAGUNA = {
    **MELLUM,
    "shared_expert_intermediate_size": 64,
    "layer_types": ["full_attention", SLIDES, SLIDES, SLIDES],
    "rope_parameters": {
        "full_attention": {**YARN, "partial_rotary_factor": 0.5},
        SLIDES: PLAIN_ROPE,
    },
}
MODELS: dict[str, Tiny] = {
    "afmoe": Tiny(
        "Afmoe", "llama-bpe", {**SLIDING_EXPERTS, "num_dense_layers": 1, "mup_enabled": True}
    ),
    "apertus": Tiny("Apertus", "tekken", {}),
    "apertus-tied": Tiny("Apertus", "tekken", {"tie_word_embeddings": True}),
    "arcee": Tiny("Arcee", "llama-bpe", {}),
    "arcee-biased": Tiny("Arcee", "llama-bpe", {"attention_bias": True}),
    "bamba": Tiny(
        "Bamba", "llama-bpe", {"num_hidden_layers": 4, "attn_layer_indices": [1, 3], **MAMBA_HEADS}
    ),
    "bitnet": Tiny("BitNet", "llama-bpe", {"tie_word_embeddings": True}),
    "bloom": Tiny("Bloom", "bloom", {"n_layer": 2, "n_head": 4}),
    "codegen": Tiny("CodeGen", "gpt-2", {**GPT2, "rotary_dim": 8}),
    "cohere": Tiny("Cohere", "smollm", {"logit_scale": 1.0}),
    "cohere2": Tiny(
        "Cohere2", "smollm", {"num_hidden_layers": 4, "sliding_window": 16, "logit_scale": 1.0}
    ),
    "deepseek-v2": Tiny("DeepseekV2", "deepseek-llm", {**LATENT, **ROUTED_EXPERTS}),
    "deepseek-v2-whole": Tiny(
        "DeepseekV2", "deepseek-llm", {**LATENT, **ROUTED_EXPERTS, "q_lora_rank": None}
    ),
    "deepseek-v3-unscaled": Tiny(
        "DeepseekV3", "deepseek-v3", {**LATENT, **ROUTED_EXPERTS, "rope_parameters": YARN}
    ),
    "deepseek-v3": Tiny(
        "DeepseekV3",
        "deepseek-v3",
        {**LATENT, **ROUTED_EXPERTS, "n_routed_experts": 8, "n_group": 2},
    ),
    "dots1": Tiny("Dots1", "qwen2", {**ROUTED_EXPERTS, "head_dim": 16, "num_key_value_heads": 4}),
    "ernie4.5": Tiny("Ernie4_5", "pieces", {}),
    "ernie4.5-moe": Tiny(
        "Ernie4_5_Moe",
        "pieces",
        {
            "moe_num_experts": 4,
            "moe_k": 2,
            "moe_intermediate_size": 64,
            "moe_num_shared_experts": 1,
            "moe_layer_start_index": 1,
        },
    ),
    "exaone4": Tiny(
        "Exaone4", "gpt-2", {"sliding_window": None, "layer_types": ["full_attention"] * 2}
    ),
    "exaone4-window": Tiny("Exaone4", "gpt-2", {"num_hidden_layers": 4, "sliding_window": 16}),
    "exaone-moe": Tiny("ExaoneMoe", "gpt-2", {**SLIDING_EXPERTS, "first_k_dense_replace": 1}),
    "falcon": Tiny("Falcon", "falcon", {"multi_query": True, "alibi": False}),
    "falcon-grouped": Tiny(
        "Falcon",
        "falcon",
        {"new_decoder_architecture": True, "num_kv_heads": 2, "alibi": False},
    ),
    "falcon-h1": Tiny("FalconH1", "gpt-2", FALCON_H1),
    "falcon-h1-gated-norm": Tiny(
        "FalconH1",
        "gpt-2",
        {
            **FALCON_H1,
            "mamba_rms_norm": True,
            "mamba_norm_before_gate": False,
            "mamba_n_groups": 2,
        },
    ),
    "falcon-h1-normed-gate": Tiny(
        "FalconH1",
        "gpt-2",
        {**FALCON_H1, "mamba_rms_norm": True, "mamba_norm_before_gate": True},
    ),
    "falcon-mamba": Tiny("FalconMamba", "gpt-2", {"state_size": 16}),
    "gemma": Tiny("Gemma", "pieces", {"head_dim": 16}),
    "gemma3n": Tiny("Gemma3nText", "pieces", {**GEMMA3N, "num_hidden_layers": 11}),
    "gemma3n-shared": Tiny(
        "Gemma3nText",
        "pieces",
        {**GEMMA3N, "num_hidden_layers": 25, "num_kv_shared_layers": 5},
    ),
    "gemma3n-narrow": Tiny(
        "Gemma3nText",
        "pieces",
        {**GEMMA3N, "num_hidden_layers": 5, "hidden_size_per_layer_input": 32},
    ),
    "gemma4": Tiny(
        "Gemma4Text",
        "pieces",
        {
            "num_hidden_layers": 4,
            "head_dim": 16,
            "global_head_dim": 32,
            "sliding_window": 16,
            "hidden_size_per_layer_input": 0,
            "num_kv_shared_layers": 0,
        },
    ),
    "glm": Tiny("Glm", "dbrx", {"head_dim": 16}),
    "glm4": Tiny("Glm4", "dbrx", {"head_dim": 16}),
    "glm4-moe": Tiny("Glm4Moe", "dbrx", {**ROUTED_EXPERTS, "head_dim": 16}),
    "glm4-moe-lite": Tiny("Glm4MoeLite", "dbrx", {**LATENT, **ROUTED_EXPERTS}),
    "gpt-bigcode": Tiny("GPTBigCode", "smollm", GPT2),
    "gpt-j": Tiny("GPTJ", "gpt-2", {**GPT2, "rotary_dim": 8}),
    "gpt-neo": Tiny(
        "GPTNeo",
        "gpt-2",
        {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]},
    ),
    "gpt-neox": Tiny("GPTNeoX", "gpt-2", {}),
    "gpt-neox-scaled": Tiny("GPTNeoX", "gpt-2", {"rope_parameters": YARN}),
    "gpt-neox-tied": Tiny("GPTNeoX", "gpt-2", {"tie_word_embeddings": True}),
    "gpt-oss": Tiny("GptOss", "gpt-4o", {**FOUR_EXPERTS, "head_dim": 64, "sliding_window": 16}),
    "gpt2": Tiny("GPT2", "gpt-2", GPT2),
    "gpt2-inner": Tiny("GPT2", "gpt-2", {**GPT2, "n_inner": 96}),
    "granite": Tiny("Granite", "smollm", {}),
    "granite-hybrid": Tiny(
        "GraniteMoeHybrid",
        "smollm",
        {
            **FOUR_EXPERTS,
            **MAMBA_HEADS,
            "num_hidden_layers": 4,
            "layer_types": ["mamba", "attention", "mamba", "attention"],
            "shared_intermediate_size": 64,
        },
    ),
    "granite-hybrid-turning": Tiny(
        "GraniteMoeHybrid",
        "smollm",
        {
            **MAMBA_HEADS,
            "num_local_experts": 0,
            "num_experts_per_tok": 0,
            "layer_types": ["mamba", "attention"],
            "shared_intermediate_size": 64,
            "position_embedding_type": "rope",
        },
    ),
    "granite-moe": Tiny("GraniteMoe", "smollm", FOUR_EXPERTS),
    "helium": Tiny("Helium", "pieces", {"head_dim": 16}),
    "hunyuan": Tiny("HunYuanDenseV1", "qwen2", {"head_dim": 16}),
    "jamba": Tiny(
        "Jamba",
        "pieces",
        {
            "num_hidden_layers": 4,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "num_experts": 2,
            "num_experts_per_tok": 1,
            "use_mamba_kernels": False,
        },
    ),
    "jetmoe": Tiny("JetMoe", "gpt-2", {}),
    "lfm2": Tiny(
        "Lfm2",
        "llama-bpe",
        {
            "num_hidden_layers": 3,
            "layer_types": ["conv", "full_attention", "conv"],
            "block_auto_adjust_ff_dim": False,
        },
    ),
    "laguna": Tiny("Laguna", "qwen2", LAGUNA),
    "llama4": Tiny(
        "Llama4Text",
        "gpt-4o",
        {
            "num_hidden_layers": 4,
            "head_dim": 16,
            "num_local_experts": 4,
            "num_experts_per_tok": 1,
            "intermediate_size_mlp": 128,
            "interleave_moe_layer_step": 2,
        },
    ),
    "mamba": Tiny("Mamba", "gpt-2", {"state_size": 16}),
    "mamba2": Tiny(
        "Mamba2", "gpt-2", {"state_size": 16, "num_heads": 8, "head_dim": 16, "n_groups": 1}
    ),
    "mellum": Tiny("Mellum", "gpt-2", MELLUM),
    "mellum-full": Tiny("Mellum", "gpt-2", {**MELLUM, "layer_types": ["full_attention"] * 4}),
    "minimax-m2": Tiny("MiniMaxM2", "gpt-4o", {**FOUR_EXPERTS, "head_dim": 16}),
    "ministral3": Tiny(
        "Ministral3",
        "tekken",
        {"head_dim": 16, "sliding_window": None, "rope_parameters": YARN_SCALED},
    ),
    "mixtral": Tiny("Mixtral", "pieces", {**FOUR_EXPERTS, "sliding_window": None}),
    "mixtral-window": Tiny("Mixtral", "pieces", {**FOUR_EXPERTS, "sliding_window": 64}),
    "mpt": Tiny(
        "Mpt",
        "gpt-2",
        {"d_model": 64, "n_layers": 2, "n_heads": 4, "max_seq_len": 256, "expansion_ratio": 4},
    ),
    "mpt-scaled": Tiny(
        "Mpt",
        "gpt-2",
        {"d_model": 64, "n_layers": 2, "n_heads": 4, "attn_config": {"softmax_scale": 0.5}},
    ),
    "nemotron": Tiny("Nemotron", "pieces", {}),
    "nemotron-h": Tiny("NemotronH", "tekken", NEMOTRON_H),
    "olmo": Tiny("Olmo", "gpt-2", {}),
    "olmo2": Tiny("Olmo2", "dbrx", {}),
    "olmo3": Tiny("Olmo3", "dbrx", {"num_hidden_layers": 4, "sliding_window": 16}),
    "olmo2-scaled": Tiny("Olmo2", "dbrx", {"rope_parameters": YARN}),
    "olmoe": Tiny(
        "Olmoe", "gpt-2", {"num_key_value_heads": 4, "num_experts": 4, "num_experts_per_tok": 2}
    ),
    "opt": Tiny("OPT", "gpt-2", {"ffn_dim": 128, "word_embed_proj_dim": 64}),
    "persimmon": Tiny("Persimmon", "gpt-2", {}),
    "phi": Tiny("Phi", "gpt-2", {"num_key_value_heads": 4}),
    "phi-grouped": Tiny("Phi", "gpt-2", {}),
    "phi-moe": Tiny("Phimoe", "pieces", {**FOUR_EXPERTS, "sliding_window": None}),
    "qwen2-moe": Tiny(
        "Qwen2Moe", "qwen2", {**NARROW_EXPERTS, "shared_expert_intermediate_size": 96}
    ),
    "qwen3-moe": Tiny(
        "Qwen3Moe", "qwen2", {**NARROW_EXPERTS, "head_dim": 32, "norm_topk_prob": True}
    ),
    "qwen3-moe-plain": Tiny("Qwen3Moe", "qwen2", {**NARROW_EXPERTS, "head_dim": 32}),
    "qwen3-next": Tiny(
        "Qwen3Next", "qwen2", {**NARROW_EXPERTS, **LINEAR, "shared_expert_intermediate_size": 64}
    ),
    "qwen3.5": Tiny("Qwen3_5Text", "qwen35", LINEAR),
    "recurrent-gemma": Tiny("RecurrentGemma", "pieces", {}),
    "rwkv4": Tiny("Rwkv", "gpt-2", {}),
    "seed-oss": Tiny("SeedOss", "seed-coder", {"head_dim": 16}),
    "seed-oss-llama3": Tiny(
        "SeedOss", "seed-coder", {"head_dim": 16, "rope_parameters": LLAMA3_SCALED}
    ),
    "smollm3": Tiny("SmolLM3", "llama-bpe", {"num_hidden_layers": 4}),
    "stablelm": Tiny("StableLm", "gpt-2", {}),
    "stablelm-normed": Tiny("StableLm", "gpt-2", {"qk_layernorm": True}),
    "solar-open": Tiny("SolarOpen", "qwen2", {**ROUTED_EXPERTS, "head_dim": 16}),
    "jais2": Tiny("Jais2", "llama-bpe", {"head_dim": 16}),
    "granite-window": Tiny("GraniteSWA", "llama-bpe", {"sliding_window": 16}),
    "granite-moe-window": Tiny(
        "GraniteMoeSWA", "llama-bpe", {**FOUR_EXPERTS, "sliding_window": 16}
    ),
    "starcoder2": Tiny("Starcoder2", "smollm", {"sliding_window": None}),
    "xglm": Tiny(
        "XGLM", "gpt-2", {"d_model": 64, "ffn_dim": 128, "num_layers": 2, "attention_heads": 4}
    ),
}
SPECIAL = (
    *("<pad>", "<bos>", "<eos>"),
    *("<|endoftext|>", "[gMASK]", "<sop>", "<eop>"),  # GLM's converter asks for its own
    *("<|user|>", "<|assistant|>", "<|system|>", "<|observation|>"),
    *("<unk>", "<|startoftext|>"),  # and Solar's
)
MORE_TEXTS = [
    *TEXTS,
    "ÉCOLE Ça va? 12345 67",
    "हिन्दी ไทย العربية",
    "I'll don't WE'VE  x",
    "\r\n\n tab\t  end  ",
]


class Outcome(NamedTuple):
    """What became of a model; `refusal` is empty where there are figures."""

    kl: float = 0.0
    kl_most: float = 0.0
    wrong_texts: tuple[str, ...] = ()
    refusal: str = ""


def split_steps(split: str) -> list[Any]:
    from tokenizers import Regex, pre_tokenizers

    from llamacpp import split_patterns as patterns
    from llamacpp.splits import SPLITS

    def cut(pattern: str) -> Any:
        return pre_tokenizers.Split(Regex(pattern), "isolated")

    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = pre_tokenizers.Digits(individual_digits=True)
    if split == "gpt-2":
        return [words]
    if split == "smollm":
        return [digits, words]
    if split == "falcon":
        runs = pre_tokenizers.Digits(individual_digits=False)
        return [pre_tokenizers.Punctuation("contiguous"), words, runs, cut(patterns.THREE_DIGITS)]
    if split == "deepseek-llm":
        first = [
            patterns.LINE_ENDS,
            patterns.DEEPSEEK_WORD,
            patterns.DEEPSEEK_SIGNS,
            patterns.DEEPSEEK_LAST_SPACES,
            patterns.DEEPSEEK_CJK,
        ]
        return [*map(cut, first), digits, as_bytes]
    if split == "deepseek-v3":
        three = [
            patterns.UP_TO_THREE_DIGITS,
            patterns.DEEPSEEK_3_CJK,
            patterns.DEEPSEEK_3_WORD,
        ]
        return [*map(cut, three), as_bytes]
    wanted = "dbrx" if split == "llama-bpe" else split
    pattern = next(pattern for pattern, name in SPLITS.items() if name == wanted)
    return [cut(pattern), as_bytes]


def write_tokenizer(folder: Path, split: str) -> None:
    if split == "pieces":
        write_byte_fallback(folder)
        return
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(ignore_merges=split == "llama-bpe"))
    steps = split_steps(split)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if steps[1:] else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE["vocab_size"],
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    ).save_pretrained(folder)


def make_model(folder: Path, name: str) -> Any:
    """The model, in `folder` and as Transformers holds it."""
    import torch
    import transformers

    tiny = MODELS[name]
    torch.manual_seed(0)
    kind = getattr(transformers, f"{tiny.kind}Config")
    config = kind(**copy.deepcopy({**SIZE, **tiny.fields}))  # it changes what it is given
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases must not hide behind ones and zeros
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for name_of_buffer, buffer in model.named_buffers():
            if "correction_bias" in name_of_buffer:
                buffer.add_(torch.randn_like(buffer) * 0.1)
    model.save_pretrained(folder)
    write_tokenizer(folder, tiny.split)
    return model


CONVERTING = """
import json, logging, sys
from pathlib import Path
from _shared.protocol import Events, JobError
from llamacpp import official
logging.disable(logging.WARNING)
told = []
for job in json.loads(sys.argv[1]):
    try:
        told.append(official.work(job, Events(None)))
    except JobError as error:
        told.append({"error": error.message})
print(json.dumps(told))
"""


def convert(folders: Sequence[Path], scheme: str = "F32") -> list[dict[str, Any]]:
    """Each folder's hf as its model.gguf, in one process: what its job tells, or its error."""
    source = str(converter_folder(OFFICIAL, progress=Silent()))
    jobs = [
        {
            "source": source,
            "model": str(folder / "hf"),
            "output": str(folder / "model.gguf"),
            "scheme": scheme,
        }
        for folder in folders
    ]
    run = subprocess.run(
        [sys.executable, "-c", CONVERTING, json.dumps(jobs)],
        capture_output=True,
        text=True,
        cwd=WORKERS,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return list(json.loads(run.stdout.splitlines()[-1]))


def compare(model: Any, folder: Path) -> Outcome:
    """llama.cpp's model.gguf against the model that it came from."""
    import torch
    from transformers import AutoTokenizer

    tokens = np.random.default_rng(0).integers(12, SIZE["vocab_size"], 60).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].double()
    expected_NV = torch.log_softmax(logits, 1)
    found, tokenized = llama_logits(folder / "model.gguf", tokens, MORE_TEXTS)
    width = expected_NV.shape[1]
    found_NV = torch.log_softmax(torch.tensor(found[:, :width]).double(), 1)
    kl_N = (expected_NV.exp() * (expected_NV - found_NV)).sum(1)
    tokenizer = AutoTokenizer.from_pretrained(folder / "hf")
    wrong = []
    for text, ids in zip(MORE_TEXTS, tokenized, strict=True):
        if tokenizer(text, add_special_tokens=False).input_ids != ids:
            wrong.append(text)
    return Outcome(kl=float(kl_N.mean()), kl_most=float(kl_N.max()), wrong_texts=tuple(wrong))


def outcomes(names: Sequence[str], root: Path) -> Iterator[tuple[str, Outcome]]:
    """In order; models are made first, so that one process converts them all."""
    models = {}
    for name in names:
        try:
            models[name] = make_model(root / name / "hf", name)
        except Exception as error:  # of any class, by the model's own code
            yield name, Outcome(refusal=f"Transformers does not make it: {error}")
    folders = [root / name for name in models]
    for name, told in zip(models, convert(folders), strict=True):
        if "error" in told:
            yield name, Outcome(refusal=told["error"])
            continue
        try:
            yield name, compare(models[name], root / name)
        except subprocess.CalledProcessError:
            yield name, Outcome(refusal="llama.cpp does not load it")


def main() -> None:
    names = sys.argv[1:] or list(MODELS)
    with tempfile.TemporaryDirectory() as root:
        for name, outcome in outcomes(names, Path(root)):
            if outcome.refusal:
                print(f"{name:18} {outcome.refusal}")
                continue
            right = len(MORE_TEXTS) - len(outcome.wrong_texts)
            told = f"KL {outcome.kl:.1e}, at most {outcome.kl_most:.1e}"
            print(f"{name:18} {told}; tokens of {right} of {len(MORE_TEXTS)} texts")


if __name__ == "__main__":
    main()
