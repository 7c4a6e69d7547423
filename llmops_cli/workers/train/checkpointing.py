"""Activations: what of them is kept for the backward pass, and what is computed again."""

from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

from _shared.protocol import JobError

KEPT = frozenset(
    {
        torch.ops.aten.mm.default,
        torch.ops.aten.addmm.default,
        torch.ops.aten.bmm.default,
        torch.ops.aten._scaled_dot_product_flash_attention.default,  # noqa: SLF001
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,  # noqa: SLF001
        torch.ops.aten._scaled_dot_product_efficient_attention.default,  # noqa: SLF001
        torch.ops.aten._scaled_dot_product_cudnn_attention.default,  # noqa: SLF001
    }
)
"""What is dear to compute: products of matrices, and attention."""


def keep_less(model: Any, what: str) -> None:
    """`full`: only each block's input is kept. `selective`: results of products and attention too.

    Raises: JobError for a model that cannot.
    """
    if what == "none":
        return
    if not model.supports_gradient_checkpointing:
        message = f"{type(model).__name__} cannot compute activations again"
        raise JobError("UsageError", message, "--activation-checkpointing none")
    options: dict[str, Any] = {"use_reentrant": False}
    if what == "selective":
        options["context_fn"] = partial(create_selective_checkpoint_contexts, _policy)
    model.activation_checkpointing_enable(activation_checkpointing_kwargs=options)


def _policy(context: Any, operation: Any, *arguments: Any, **named: Any) -> CheckpointPolicy:
    del context, arguments, named
    if operation in KEPT:
        return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.PREFER_RECOMPUTE
