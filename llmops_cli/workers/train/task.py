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
        """Prompts are padded on the left, so that all answers begin at one place."""
        prompts = [question.prompt for question in self._questions]
        longest = max(len(prompt) for prompt in prompts)
        ids_BT = torch.zeros(len(prompts), longest, dtype=torch.long)
        seen_BT = torch.zeros_like(ids_BT)
        for row, prompt in enumerate(prompts):
            ids_BT[row, -len(prompt) :] = torch.tensor(prompt)
            seen_BT[row, -len(prompt) :] = 1
        device = next(model.parameters()).device
        answers_BT = self._continued(model, ids_BT.to(device), seen_BT.to(device))
        return [self._text(answer_T) for answer_T in answers_BT]

    def _continued(
        self,
        model: Any,
        ids_BT: Tensor,
        seen_BT: Tensor,
    ) -> Tensor:
        """The likeliest token each time; what was computed for a prompt is kept for its answer."""
        end = self._tokenizer.eos_token_id
        ended_B1 = torch.zeros_like(ids_BT[:, :1], dtype=torch.bool)
        places_BT = (seen_BT.cumsum(-1) - 1).clamp(min=0)
        cache = None
        found: list[Tensor] = []
        for _ in range(MOST_TOKENS):
            with autocast(self._settings.precision, ids_BT.device):
                output = model(
                    input_ids=ids_BT,
                    attention_mask=seen_BT,
                    position_ids=places_BT,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
            cache = output.past_key_values
            ids_BT = output.logits[:, -1:].argmax(-1).masked_fill(ended_B1, end)
            found.append(ids_BT)
            ended_B1 = ended_B1 | (ids_BT == end)
            if bool(ended_B1.all()):
                break
            seen_BT = torch.cat([seen_BT, torch.ones_like(ids_BT)], dim=1)
            places_BT = places_BT[:, -1:] + 1
        return torch.cat(found, dim=1)

    def _text(self, ids_T: Tensor) -> str:
        """Up to the end token."""
        tokens = ids_T.tolist()
        end = self._tokenizer.eos_token_id
        if end in tokens:
            tokens = tokens[: tokens.index(end)]
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()
