"""What a training run asks for."""

from __future__ import annotations

from typing import Annotated

import msgspec

from llmops_cli.core.fields import Positive


class TrainRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Supervised training of a chat model on one process. `data` is `demo` or a JSONL file of
    messages.
    """

    data: str = "demo"
    steps: Positive = 800
    batch_size: Positive = 32
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 0.02
    prompt_loss_weight: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    hidden_size: Positive = 256
    intermediate_size: Positive = 512
    layers: Positive = 2
    heads: Positive = 4
    kv_heads: Positive = 2
    vocab_size: Annotated[int, msgspec.Meta(ge=300)] = 1024
    context: Positive = 1024
    precision: str = "auto"
    seed: int = 0
    threads: Positive | None = None
