"""The share of right answers to the demo's questions, by skill: greedy, exact match.

Shapes: B rows, T tokens, V vocabulary.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from train.precision import autocast
from train.settings import Settings
from train.strategies.strategy import Strategy

MOST_TOKENS = 24
"""Of an answer; the longest right one has fewer."""
WHOLE = frozenset({"single", "ddp", "fsdp", "hsdp", "tp", "fsdp+tp"})
"""Strategies in which a rank can run the whole model forward."""


class Question(NamedTuple):
    skill: str
    prompt: list[int]
    answer: str


class Task:
    """Chats whose last message is the only right answer."""

    def __init__(self, path: Path, tokenizer: Any, settings: Settings) -> None:
        self._tokenizer = tokenizer
        self._settings = settings
        self._questions = [self._question(line) for line in path.read_text().splitlines()]

    def _question(self, line: str) -> Question:
        example = json.loads(line)
        *before, last = example["messages"]
        prompt = self._tokenizer.apply_chat_template(before, add_generation_prompt=True)
        ids = prompt["input_ids"] if isinstance(prompt, dict) or hasattr(prompt, "keys") else prompt
        return Question(example["skill"], list(ids), last["content"])

    @torch.no_grad()
    def score(self, strategy: Strategy) -> dict[str, float]:
        """Every rank answers all questions, so that sharded weights meet; empty where none can."""
        if self._settings.strategy not in WHOLE:
            return {}
        answers = self._answers(strategy.model)
        right: dict[str, list[bool]] = defaultdict(list)
        for question, answer in zip(self._questions, answers, strict=True):
            right[question.skill].append(answer == question.answer)
        return {skill: sum(each) / len(each) for skill, each in right.items()}

    def _answers(self, model: Any) -> list[str]:
        prompts = [question.prompt for question in self._questions]
        lengths_B = torch.tensor([len(prompt) for prompt in prompts])
        longest = int(lengths_B.max()) + MOST_TOKENS
        ids_BT = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids_BT[row, : len(prompt)] = torch.tensor(prompt)
        device = next(model.parameters()).device
        found_BT = self._extended(model, ids_BT.to(device), lengths_B.to(device))
        return [self._text(found_BT[row, len(prompt) :]) for row, prompt in enumerate(prompts)]

    def _extended(self, model: Any, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """The likeliest token each time; rows are padded on the right, which no token sees."""
        end = self._tokenizer.eos_token_id
        rows_B = torch.arange(len(ids_BT), device=ids_BT.device)
        ended_B = torch.zeros(len(ids_BT), dtype=torch.bool, device=ids_BT.device)
        places_B = lengths_B.clone()
        for _ in range(MOST_TOKENS):
            width = int(places_B.max())
            with autocast(self._settings.precision, ids_BT.device):
                logits_BTV = model(input_ids=ids_BT[:, :width], use_cache=False).logits
            next_B = logits_BTV[rows_B, places_B - 1].argmax(-1)
            ids_BT[rows_B, places_B] = next_B.masked_fill(ended_B, end)
            ended_B |= next_B == end
            places_B += 1
            if bool(ended_B.all()):
                break
        return ids_BT

    def _text(self, ids_T: Tensor) -> str:
        """Up to the end token."""
        tokens = ids_T.tolist()
        end = self._tokenizer.eos_token_id
        if end in tokens:
            tokens = tokens[: tokens.index(end)]
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()
