"""What a vote saves that ends when it is decided, and what it loses: against 40 samples each.

    python benchmarks/adaptive_votes.py [QUESTIONS]

Both votes see the same samples, the early one a part of them. A sample is right with a chance of
50 to 80 %; wrong ones are spread over one other answer (the hardest case), or over several.
"""

from __future__ import annotations

import random
import sys
from typing import NamedTuple

from llmops_cli.core.significance import paired_interval
from llmops_cli.prompt.techniques.voting import is_decided, standing_of

SAMPLES = 40
RIGHT = "right"


class Vote(NamedTuple):
    is_right: bool
    calls: int


def vote(samples: list[str], *, rule: str, confidence: float) -> Vote:
    """As self-consistency counts them."""
    votes: dict[str, float] = {}
    for asked, answer in enumerate(samples, 1):
        votes[answer] = votes.get(answer, 0.0) + 1
        left = len(samples) - asked
        if is_decided(standing_of(votes), left, rule=rule, confidence=confidence):
            return Vote(standing_of(votes).leader == RIGHT, asked)
    raise AssertionError("the last sample decides")


def samples_of(rng: random.Random, wrong_answers: int) -> list[str]:
    right = rng.uniform(0.5, 0.8)
    return [
        RIGHT if rng.random() < right else f"wrong {rng.randrange(wrong_answers)}"
        for _ in range(SAMPLES)
    ]


def compare(questions: int, wrong_answers: int, rule: str, confidence: float) -> None:
    rng = random.Random(0)
    calls = 0
    differences = []
    for _ in range(questions):
        samples = samples_of(rng, wrong_answers)
        full = vote(samples, rule="never", confidence=confidence)
        early = vote(samples, rule=rule, confidence=confidence)
        calls += early.calls
        differences.append(float(early.is_right) - float(full.is_right))
    low, high = paired_interval(differences)
    change = sum(differences) / questions
    print(
        f"{rule:8} {confidence:.3f}, {wrong_answers} wrong: {calls / questions:5.1f} calls, "
        f"{SAMPLES * questions / calls:4.1f}x fewer, {change:+.2%} ({low:+.2%} to {high:+.2%})"
    )


def main(questions: int) -> None:
    for wrong_answers in (1, 4):
        compare(questions, wrong_answers, "decided", 1.0)
        for confidence in (0.9, 0.95, 0.975, 0.99):
            compare(questions, wrong_answers, "beta", confidence)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
