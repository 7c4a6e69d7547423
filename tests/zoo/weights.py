"""Changes to the tensors of a model, by the names that they have in its file."""

from __future__ import annotations

from tests.zoo.case import Change, Json


def other_head(tensors: Json) -> None:
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] * 0.5 + 0.1


def same_head(tensors: Json) -> None:
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()


def head_alone(tensors: Json) -> None:
    tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")


def of_language_model(tensors: Json) -> None:
    for name in list(tensors):
        tensors[f"language_model.{name}"] = tensors.pop(name)


def without_tensor(name: str) -> Change:
    def change(tensors: Json) -> None:
        del tensors[name]

    return change


def with_bias(tensors: Json) -> None:
    weight = tensors["model.layers.0.self_attn.q_proj.weight"]
    tensors["model.layers.0.self_attn.q_proj.bias"] = weight[:, 0].clone() + 1.0


def of_base_model(tensors: Json) -> None:
    """As a model that only makes vectors is saved: Qwen3-Embedding, for example."""
    for name in list(tensors):
        tensors[name.removeprefix("model.")] = tensors.pop(name)
