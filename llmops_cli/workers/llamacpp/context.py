"""How many tokens of context a converted model is right for."""

from typing import NamedTuple

import gguf

from llamacpp.architectures import GEMMA
from llamacpp.defaults import ModelFields
from llamacpp.notices import BEYOND_WINDOW, CONTEXT_CUT, Notice
from llamacpp.rope import Rope


class Context(NamedTuple):
    """`tokens` is what the file says; `notice` what the user must know of it, if anything."""

    tokens: int
    notice: Notice | None = None


def context_of(
    config: ModelFields,
    architecture: gguf.MODEL_ARCH,
    rope: Rope,
    *,
    beyond_window: bool,
) -> Context:
    """Cut to where llama.cpp still computes what Transformers does, unless told otherwise."""
    trained = int(config["max_position_embeddings"])
    right, reason = _right_context(config, architecture, rope)
    return context_within(right, trained, reason, beyond_window=beyond_window)


def context_within(
    right: int | None,
    trained: int,
    reason: str,
    *,
    beyond_window: bool,
) -> Context:
    """Of `trained` tokens, up to `right` of which llama.cpp computes what Transformers does."""
    if right is None or right >= trained:
        return Context(trained)
    if beyond_window:
        text = f"its answers differ from the original's beyond {right} tokens: {reason}"
        return Context(trained, Notice(BEYOND_WINDOW, text))
    text = (
        f"its context is cut from {trained} tokens to {right}: {reason}; "
        "--beyond-window keeps all of it"
    )
    return Context(right, Notice(CONTEXT_CUT, text))


def _right_context(
    config: ModelFields,
    architecture: gguf.MODEL_ARCH,
    rope: Rope,
) -> tuple[int | None, str]:
    name = gguf.MODEL_ARCH_NAMES[architecture]
    window = _window(config)
    if window is not None and architecture not in GEMMA:
        return window, f"llama.cpp's {name} has no sliding window, and this model's is {window}"
    if rope.short_context is not None:
        reason = "llama.cpp chooses longrope's factors by the context, not by the text's length"
        return rope.short_context, reason
    return None, ""


def _window(config: ModelFields) -> int | None:
    """Of the layers that have one; None where every layer sees the whole context."""
    window = config.get("sliding_window")
    layers = config.get("layer_types")
    if window is None or (layers is not None and "sliding_attention" not in layers):
        return None
    return int(window)
