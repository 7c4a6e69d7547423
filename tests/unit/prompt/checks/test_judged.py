import asyncio
import json
from collections.abc import Sequence

import pytest

from llmops_cli.prompt.case_file.suite import Check
from llmops_cli.prompt.checks.judged import JudgeFailed, best_of, judged
from llmops_cli.prompt.checks.table import judged_function
from llmops_cli.prompt.checks.verdict import Given, Verdict


class ScriptedJudge:
    def __init__(self, said: object) -> None:
        self.said = said
        self.asked: list[str] = []

    async def ask(self, messages: Sequence[dict[str, str]]) -> str:
        self.asked.append(messages[-1]["content"])
        if isinstance(self.said, Exception):
            raise self.said
        return self.said if isinstance(self.said, str) else json.dumps(self.said)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(len(text)), 1.0] for text in texts]


GIVEN = Given(text="an answer", value="an answer", question="why?", variables={"context": "c"})


def verdict(kind: str, said: object, **more: object) -> Verdict:
    is_negated = kind.startswith("not-")
    check = Check(kind=kind.removeprefix("not-"), is_negated=is_negated, value="be kind", **more)
    judge = ScriptedJudge(said)
    return asyncio.run(judged(judged_function(check.kind), check, GIVEN, judge))


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("llm-rubric", {"pass": True, "score": 0.9}, {"pass": False, "score": 0.1}),
        ("model-graded-closedqa", {"pass": True}, {"pass": False}),
        ("factuality", {"category": "C"}, {"category": "(D)".strip("()")}),
        ("g-eval", {"score": 8}, {"score": 2}),
    ],
)
def test_a_verdict_and_its_negation(kind: str, good: object, bad: object) -> None:
    assert verdict(kind, good).passed
    assert not verdict(kind, bad).passed
    assert not verdict(f"not-{kind}", good).passed
    assert verdict(f"not-{kind}", bad).passed


@pytest.mark.parametrize(
    "said",
    [
        "it passes",
        {"score": 1},
        {"pass": True, "score": 0},
        {"pass": "yes", "score": 1},
        {"pass": True, "score": "high"},
        {"pass": True, "score": 85},
        {"pass": True, "score": -1},
        JudgeFailed("gone"),
        "[1]",
    ],
)
def test_what_is_no_clear_verdict_is_none_in_either_direction(said: object) -> None:
    for kind in ("llm-rubric", "not-llm-rubric"):
        found = verdict(kind, said)
        assert found.error
        assert not found.passed


def test_thoughts_before_the_verdict_do_not_count() -> None:
    said = '<think>{"pass": false}</think> So: ```json\n{"pass": true, "score": 1}\n```'
    assert verdict("llm-rubric", said).passed


def test_a_threshold_is_of_the_score() -> None:
    assert not verdict("llm-rubric", {"pass": True, "score": 0.6}, threshold=0.7).passed
    found = verdict("context-faithfulness", {"supported": [True, False]}, threshold=0.6)
    assert not found.passed
    assert found.score == 0.5


def test_similar_takes_the_nearest_reference() -> None:
    found = verdict("similar", "", threshold=0.99)
    assert found.passed
    assert verdict("similar:euclidean", "", threshold=0.9).passed is False


def test_the_best_is_one_of_the_answers() -> None:
    judge = ScriptedJudge({"best": 1})
    assert asyncio.run(best_of("short", ["a", "b"], judge)) == 1
    with pytest.raises(JudgeFailed):
        asyncio.run(best_of("short", ["a"], judge))


def test_a_grade_on_another_scale_is_none() -> None:
    assert verdict("g-eval", {"score": 80}).error
