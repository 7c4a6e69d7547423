"""Every kind of rotary embedding, in both forms of config.json."""

from __future__ import annotations

from typing import Any

from tests.zoo.architectures import GEMMA3
from tests.zoo.case import COMPOSES, FALLBACK, GEMMA, Case, Change, Json, having

YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0 + n / 40 for n in range(8)],
    "long_factor": [2.0 + n / 10 for n in range(8)],
    "original_max_position_embeddings": 128,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
PARTIAL = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}


def old_rope(**rope: Any) -> Change:
    """config.json as it was written before Transformers 5."""

    def edit(config: Json) -> None:
        parameters = config.pop("rope_parameters")
        config["rope_theta"] = parameters["rope_theta"]
        config["rope_scaling"] = rope or None

    return edit


def _rope(kind: str, parameters: Json, **more: Any) -> Case:
    extra = {"sliding_window": None} if kind == "Mistral" else {}
    extra |= more.pop("config", {})
    if kind == "Qwen2":
        more = {**COMPOSES, **more}
    return Case(kind, {"rope_parameters": parameters, **extra}, **more)


ROPES = {
    "llama3": _rope("Llama", LLAMA3),
    "llama3-written-before-5": _rope(
        "Llama", LLAMA3, edit=old_rope(**{k: v for k, v in LLAMA3.items() if k != "rope_theta"})
    ),
    "llama-linear": _rope("Llama", LINEAR),
    "llama-dynamic": _rope("Llama", {**LINEAR, "rope_type": "dynamic"}),
    "llama-yarn": _rope("Llama", YARN),
    "llama-yarn-attention": _rope("Llama", {**YARN, "attention_factor": 0.7}),
    "llama-yarn-mscale": _rope("Llama", {**YARN, "mscale": 0.7, "mscale_all_dim": 1.3}),
    "llama-yarn-truncate": _rope("Llama", {**YARN, "truncate": False}),
    "llama-yarn-betas": _rope("Llama", {**YARN, "beta_fast": 10.0, "beta_slow": 2.0}),
    "llama-longrope": _rope("Llama", LONG, context=128, notices=("longrope's factors",)),
    "mistral-yarn": _rope("Mistral", YARN),
    "mistral-linear": _rope("Mistral", LINEAR),
    "qwen2-linear": _rope("Qwen2", LINEAR),
    "qwen2-yarn": _rope("Qwen2", YARN),
    "qwen2-yarn-attention": _rope("Qwen2", {**YARN, "attention_factor": 0.7}),
    "qwen2-yarn-mscale": _rope("Qwen2", {**YARN, "mscale": 0.7, "mscale_all_dim": 1.3}),
    "qwen2-yarn-truncate": _rope("Qwen2", {**YARN, "truncate": False}, refused="scaling 'yarn'"),
    "qwen2-yarn-doubled-betas": _rope("Qwen2", {**YARN, "beta_fast": 64.0, "beta_slow": 2.0}),
    "qwen2-yarn-betas": _rope(
        "Qwen2", {**YARN, "beta_fast": 1.0, "beta_slow": 0.2}, refused="frequency factors"
    ),
    "qwen2-llama3": _rope("Qwen2", LLAMA3, refused="scaling 'llama3'"),
    "qwen2-longrope": _rope("Qwen2", LONG, refused="scaling 'longrope'"),
    "qwen3-yarn": _rope("Qwen3", YARN, config={"head_dim": 16}),
    "gemma2-yarn": _rope("Gemma2", YARN, config=GEMMA, tokenizer=FALLBACK),
    "gemma3-yarn": _rope(
        "Gemma3Text",
        {
            "full_attention": YARN,
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
        config=GEMMA3,
        tokenizer=FALLBACK,
        refused="scaling 'yarn (sliding layers: default)'",
    ),
    "phi3-partial": _rope("Phi3", PARTIAL, tokenizer=FALLBACK),
    "phi3-partial-written-before-5": _rope(
        "Phi3",
        PARTIAL,
        tokenizer=FALLBACK,
        edit=lambda config: (
            config.pop("rope_parameters"),
            config.update(rope_theta=10000.0, partial_rotary_factor=0.5),
        ),
    ),
    "phi3-longrope": _rope(
        "Phi3",
        LONG,
        tokenizer=FALLBACK,
        config={"original_max_position_embeddings": 128},
        context=128,
        notices=("longrope's factors",),
    ),
    "llama-spiral": Case(
        edit=having(rope_parameters={"rope_type": "spiral", "rope_theta": 1e4}),
        refused="rope scaling 'spiral'",
    ),
}
