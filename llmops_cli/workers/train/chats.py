"""Chats as training samples: tokens, and how much each of them counts.

Shapes: B batch, T tokens.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from _shared.protocol import JobError

Chat = list[dict[str, str]]
Sample = tuple[list[int], list[float]]
"""Token ids, and the weight of predicting each of them."""


def read_chats(path: Path) -> list[Chat]:
    """Raises: JobError naming the line that is no chat."""
    chats = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            chat = _chat_of(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            message = f"{path}:{number} is no chat: {error}"
            raise JobError("UsageError", message, 'each line: {"messages": [...]}') from None
        chats.append(chat)
    if not chats:
        raise JobError("UsageError", f"{path} has no examples")
    return chats


def _chat_of(row: Any) -> Chat:
    chat = []
    for message in row["messages"]:
        role = message["role"]
        content = message["content"]
        chat.append({"role": role, "content": content})
    return chat


def render(chat: Chat) -> Iterator[tuple[str, bool]]:
    """Pieces of the chat text, each with whether the model itself must produce it."""
    for message in chat:
        yield f"<|{message['role']}|>", False
        yield f"{message['content']}<|end|>", message["role"] == "assistant"


def encode(
    tokenizer: Any,
    chat: Chat,
    prompt_weight: float,
) -> Sample:
    """The chat with weight 1 on answers and `prompt_weight` on the rest."""
    ids: list[int] = []
    weights: list[float] = []
    for text, is_answer in render(chat):
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        weight = prompt_weight
        if is_answer:
            weight = 1.0
        ids += piece
        weights += [weight] * len(piece)
    return ids, weights


def collate(samples: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids_BT and weights_BT; padding weighs 0."""
    count = len(samples)
    lengths = [len(ids) for ids, _ in samples]
    longest = max(lengths)
    ids_BT = torch.zeros(count, longest, dtype=torch.long)
    weights_BT = torch.zeros(count, longest)
    for row, (ids, weights) in enumerate(samples):
        length = len(ids)
        ids_BT[row, :length] = torch.tensor(ids)
        weights_BT[row, :length] = torch.tensor(weights)
    return ids_BT, weights_BT
