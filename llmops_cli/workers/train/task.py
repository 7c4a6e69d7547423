"""The share of right answers to the demo's questions, by skill: greedy, exact match.

Shapes: B rows, T tokens, V vocabulary.
"""

from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor

from _shared.rows import AnyRow, rows_in
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
        self._questions = [self._question(row) for _, row in rows_in(path)]

    def _question(self, example: AnyRow) -> Question:
        *before, last = example["messages"]
        prompt = self._tokenizer.apply_chat_template(before, add_generation_prompt=True)
        if hasattr(prompt, "keys"):
            prompt = prompt["input_ids"]
        return Question(example["skill"], list(prompt), last["content"])

    @torch.no_grad()
    def score(self, strategy: Strategy) -> dict[str, float]:
        """Every rank answers all questions, so that sharded weights meet; empty where none can."""
        if self._settings.strategy not in WHOLE:
            return {}
        answers = self._answers(strategy.model)
        right: dict[str, list[bool]] = defaultdict(list)
        for question, answer in zip(self._questions, answers, strict=True):
            is_right = answer == question.answer
            right[question.skill].append(is_right)
        return {skill: fmean(each) for skill, each in right.items()}

    def _answers(self, model: Any) -> list[str]:
        prompts = [question.prompt for question in self._questions]
        lengths = [len(prompt) for prompt in prompts]
        longest = max(lengths) + MOST_TOKENS
        ids_BT = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids_BT[row, : lengths[row]] = torch.tensor(prompt)
        device = next(model.parameters()).device
        lengths_B = torch.tensor(lengths, device=device)
        found_BT = self._extended(model, ids_BT.to(device), lengths_B)
        answers = []
        for row, length in enumerate(lengths):
            answer_T = found_BT[row, length:]
            answers.append(self._text(answer_T))
        return answers

    def _extended(
        self,
        model: Any,
        ids_BT: Tensor,
        lengths_B: Tensor,
    ) -> Tensor:
        """The likeliest token each time; rows are padded on the right, which no token sees."""
        end = self._tokenizer.eos_token_id
        device = ids_BT.device
        rows = len(ids_BT)
        rows_B = torch.arange(rows, device=device)
        ended_B = torch.zeros(rows, dtype=torch.bool, device=device)
        places_B = lengths_B.clone()
        for _ in range(MOST_TOKENS):
            width = int(places_B.max())
            with autocast(self._settings.precision, device):
                output = model(input_ids=ids_BT[:, :width], use_cache=False)
            last_BV = output.logits[rows_B, places_B - 1]
            next_B = last_BV.argmax(-1)
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
