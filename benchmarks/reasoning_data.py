"""Sums of several numbers, with and without steps: data for a small model that can reason.

    python benchmarks/reasoning_data.py FOLDER
    llmops train --data FOLDER/train.jsonl --steps 600 --batch-size 12 --accumulate 1 -o FOLDER/m
    llmops prompt run --model FOLDER/m --cases FOLDER/cases.jsonl --technique zero-shot,cot ...

Writes train.jsonl (chats as `llmops prompt run` asks them, half of them answered at once, half by
steps), cases.jsonl (questions that are in no chat) and examples.jsonl.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from llmops_cli.prompt.answers.form import MARKER
from llmops_cli.prompt.techniques.asking import STEP_BY_STEP
from llmops_cli.prompt.techniques.zero_shot import ALONE

CHATS = 20_000
CASES = 400
EXAMPLES = 8
SHOWN = (0, 0, 0, 1, 2, 4)
"""Examples before the question; most chats have none."""
HELD_OUT = 5
"""A question whose hash leaves this many is for cases alone."""


def question_of(numbers: list[int]) -> str:
    return f"What is {' + '.join(map(str, numbers))}?"


def steps_of(numbers: list[int]) -> str:
    lines = []
    total = numbers[0]
    for number in numbers[1:]:
        lines.append(f"{total} + {number} = {total + number}")
        total += number
    return "\n".join(lines)


def drawn(rng: random.Random, *, held_out: bool) -> list[int]:
    while True:
        numbers = [rng.randint(0, 9) for _ in range(rng.choice((3, 4, 5)))]
        is_held_out = sum(n * 7**i for i, n in enumerate(numbers)) % 10 == HELD_OUT
        if is_held_out == held_out:
            return numbers


def chat(rng: random.Random) -> dict[str, object]:
    by_steps = rng.random() < 0.5
    instruction = STEP_BY_STEP if by_steps else ALONE
    messages = []
    for _ in range(rng.choice(SHOWN) + 1):
        numbers = drawn(rng, held_out=False)
        answer = f"{MARKER} {sum(numbers)}"
        if by_steps:
            answer = f"{steps_of(numbers)}\n{answer}"
        messages += [
            {"role": "user", "content": f"{question_of(numbers)}\n\n{instruction}"},
            {"role": "assistant", "content": answer},
        ]
    return {"messages": messages}


def case(numbers: list[int], *, with_steps: bool) -> dict[str, str]:
    row = {"question": question_of(numbers), "answer": str(sum(numbers))}
    if with_steps:
        row["reasoning"] = steps_of(numbers)
    return row


def write(path: Path, rows: list[dict[str, object]] | list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    write(folder / "train.jsonl", [chat(rng) for _ in range(CHATS)])
    cases = [drawn(rng, held_out=True) for _ in range(CASES)]
    write(folder / "cases.jsonl", [case(numbers, with_steps=False) for numbers in cases])
    shown = [drawn(rng, held_out=False) for _ in range(EXAMPLES)]
    write(folder / "examples.jsonl", [case(numbers, with_steps=True) for numbers in shown])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
