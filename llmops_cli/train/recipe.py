"""What a training run asks for."""

from __future__ import annotations

from typing import Annotated

import msgspec

from llmops_cli.core.fields import Flag, Positive, PositiveNumber, Share


class TrainRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Supervised training of a chat model on one process.

    `data` is `demo` or a JSONL file of messages.
    """

    data: Annotated[str, Flag(help='demo, or a JSONL file of {"messages": [...]}.')] = "demo"
    steps: Annotated[Positive, Flag(help="Optimizer steps.")] = 800
    batch_size: Annotated[Positive, Flag(help="Chats per step.")] = 32
    learning_rate: Annotated[
        PositiveNumber, Flag(help="Peak rate of Muon; AdamW gets a quarter.")
    ] = 0.02
    prompt_loss_weight: Share = 0.1
    hidden_size: Positive = 256
    intermediate_size: Positive = 512
    layers: Positive = 2
    heads: Positive = 4
    kv_heads: Positive = 2
    vocab_size: Annotated[int, msgspec.Meta(ge=300)] = 1024
    context: Positive = 1024
    precision: str = "auto"
    seed: Annotated[int, Flag(help="The same seed gives the same digest on one machine.")] = 0
    threads: Positive | None = None
