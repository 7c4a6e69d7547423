"""What llama.cpp's converter fixes in its code and a folder tells: sizes, contexts, rotary use.

Each function changes one of its objects before it writes.
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from _shared.protocol import JobError, Json

# An object of llama.cpp's scripts, which are no package of types.
Converter = Any

INNER_SIZES = {"phi2": "intermediate_size", "gpt2": "n_inner", "falcon": "ffn_hidden_size"}
"""By GGUF's name of an architecture: its class writes four times the hidden size."""
GRANITE_HYBRID = "GraniteMoeHybridForCausalLM"
ROTARY = "rope"
BY_FACTORS = frozenset({"llama3", "longrope", "su"})
"""Scalings of rope that a file has as a tensor of factors."""
FACTORS = ("rope_freqs", "rope_factors")
CUT_AT_WINDOW = frozenset(
    {
        "Ministral3ForCausalLM",
        "MixtralForCausalLM",
        "Qwen2MoeForCausalLM",
        "Qwen3MoeForCausalLM",
        "SmolLM3ForCausalLM",
        "Starcoder2ForCausalLM",
    }
)
"""Which may have a sliding window in Transformers, and have none in llama.cpp."""


def after_parameters(model: Converter, change: Callable[[dict[str, Any]], None]) -> None:
    """`change` has the keys that the class has written, by name, as gguf's writer keeps them."""
    usual = model.set_gguf_parameters

    def set_parameters() -> None:
        usual()
        change(model.gguf_writer.kv_data[0])

    model.set_gguf_parameters = set_parameters


def keep_sizes(model: Converter) -> None:
    """The inner size and the context of the folder, where the class writes others."""
    llm = importlib.import_module("gguf").Keys.LLM
    arch = model.gguf_writer.arch
    fields = model.hparams
    told = {}
    if fields.get(INNER_SIZES.get(arch, "")):
        told[llm.FEED_FORWARD_LENGTH] = fields[INNER_SIZES[arch]]
    if _is_granite_hybrid(model) and not fields.get("num_local_experts"):
        told[llm.FEED_FORWARD_LENGTH] = fields["shared_intermediate_size"]
    if arch == "falcon" and fields.get("max_position_embeddings"):
        told[llm.CONTEXT_LENGTH] = fields["max_position_embeddings"]

    def keep(written: dict[str, Any]) -> None:
        for key, value in told.items():
            written[key.format(arch=arch)].value = value

    if told:
        after_parameters(model, keep)


def keep_rotary_use(model: Converter) -> None:
    """Granite's hybrids say themselves whether positions turn; the class goes by their layers."""
    if not _is_granite_hybrid(model):
        return
    keys = importlib.import_module("gguf").Keys
    arch = model.gguf_writer.arch
    is_used = model.hparams.get("position_embedding_type") == ROTARY
    context = model.hparams["max_position_embeddings"]

    def keep(written: dict[str, Any]) -> None:
        written[keys.Rope.SCALING_FINETUNED.format(arch=arch)].value = is_used
        if is_used:
            written[keys.LLM.CONTEXT_LENGTH.format(arch=arch)].value = context

    after_parameters(model, keep)


def _is_granite_hybrid(model: Converter) -> bool:
    return GRANITE_HYBRID in (model.hparams.get("architectures") or [])


def cut_at_window(
    model: Converter,
    told: list[Json],
    *,
    architecture: str,
    beyond_window: bool,
) -> None:
    """The context, where llama.cpp knows no sliding window and the model has one."""
    gguf = importlib.import_module("gguf")
    # it imports gguf, which must be llama.cpp's own copy by now
    from llamacpp.context import context_within

    window = window_of(model.hparams)
    if architecture not in CUT_AT_WINDOW or window is None:
        return
    arch = model.gguf_writer.arch
    reason = f"llama.cpp's {arch} has no sliding window, and this model's is {window}"

    def cut(written: dict[str, Any]) -> None:
        if gguf.Keys.Attention.SLIDING_WINDOW.format(arch=arch) in written:
            return
        length = written[gguf.Keys.LLM.CONTEXT_LENGTH.format(arch=arch)]
        context = context_within(window, length.value, reason, beyond_window=beyond_window)
        length.value = context.tokens
        if context.notice is not None:
            told.append(context.notice.as_json())

    after_parameters(model, cut)


def window_of(fields: Json) -> int | None:
    """Tokens that some layer looks back on at most; None if all look back to the beginning."""
    window = fields.get("sliding_window")
    layers = fields.get("layer_types")
    is_used = fields.get("use_sliding_window", True)
    if not isinstance(window, int) or window < 1 or not is_used:
        return None
    if layers and "sliding_attention" not in layers:
        return None
    return window


def stack_head_norms(model: Converter) -> None:
    """StableLM's norms of queries and keys, one a head: its class loses them on the way."""
    gguf = importlib.import_module("gguf")
    if model.model_arch != gguf.MODEL_ARCH.STABLELM:
        return
    torch = importlib.import_module("torch")
    fields = model.hparams
    heads = {
        "q_layernorm": fields["num_attention_heads"],
        "k_layernorm": fields["num_key_value_heads"],
    }
    usual = model.modify_tensors
    norms: dict[str, dict[int, Any]] = {}

    def modify(data: Any, name: str, block: int | None) -> Iterator[Any]:
        before, found, after = name.partition(".norms.")
        if not found:
            yield from usual(data, name, block)
            return
        of_layer = norms.setdefault(before, {})
        of_layer[int(after.partition(".")[0])] = data
        if len(of_layer) == heads[before.rpartition(".")[2]]:
            stacked = torch.stack([of_layer[head] for head in sorted(of_layer)])
            yield from usual(stacked, f"{before}.weight", block)

    model.modify_tensors = modify


def require_rope_factors(model: Converter) -> None:
    """Raises: JobError, before anything is written, where its class leaves the scaling out."""
    ropes = model.rope_parameters
    rope = ropes.get("full_attention", ropes)
    kind = rope.get("rope_type")
    usual = model.generate_extra_tensors

    def generate() -> Iterator[Any]:
        has_factors = False
        for name, data in usual():
            has_factors = has_factors or name.startswith(FACTORS)
            yield name, data
        if not has_factors:
            arch = model.gguf_writer.arch
            message = f"llama.cpp's {arch} has no frequency factors (rope scaling '{kind}')"
            raise JobError("UsageError", message, "--backend transformers may serve it as it is")

    if kind in BY_FACTORS:
        model.generate_extra_tensors = generate
