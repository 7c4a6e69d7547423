"""One suite over every suite of attacks, ours and a package's, before anything is sent."""

from __future__ import annotations

import re

import pytest

from llmops_cli.redteam.attempts import attempts_of
from llmops_cli.redteam.suite import JUDGES, load_suite

SUITES = ("quick", "full", "echo-polite")
"""Ours, and one from a package of its own (tests/plugin)."""


@pytest.mark.parametrize("name", SUITES)
def test_the_same_seed_gives_the_same_attempts(name: str) -> None:
    suite, rounds = load_suite(name)
    first = attempts_of(suite, rounds=rounds, seed=3)
    assert first
    assert first == attempts_of(suite, rounds=rounds, seed=3)
    assert [attempt.number for attempt in first] == list(range(len(first)))


@pytest.mark.parametrize("name", SUITES)
def test_every_family_belongs_somewhere_and_is_tried(name: str) -> None:
    suite, rounds = load_suite(name)
    for family in suite.families.values():
        assert re.fullmatch(r"LLM\d\d:2025", family.owasp)
        assert re.fullmatch(r"AML\.T\d{4}(\.\d{3})?", family.atlas)
        assert re.fullmatch(r"CWE-\d+", family.cwe)
    tried = attempts_of(suite, rounds=rounds, seed=0)
    assert {attempt.family for attempt in tried if not attempt.twin} == set(suite.families)
    few = attempts_of(suite, rounds=rounds, seed=0, most=len(suite.families), twins=False)
    assert {attempt.family for attempt in few} == set(suite.families)


@pytest.mark.parametrize("name", SUITES)
def test_no_attempt_has_a_place_left_open_and_each_can_be_judged(name: str) -> None:
    suite, rounds = load_suite(name)
    for attempt in attempts_of(suite, rounds=rounds, seed=1):
        assert attempt.turns or attempt.search
        for text in (attempt.system, *attempt.turns):
            assert not re.search(r"\{(goal|secret|mark|encoded|topic)\}", text), attempt
        if not attempt.twin:
            assert attempt.judge in JUDGES
            assert attempt.target or attempt.judge not in ("secret", "mark"), attempt


@pytest.mark.parametrize("name", SUITES)
def test_one_family_can_be_chosen(name: str) -> None:
    families = load_suite(name)[0].families
    first = next(iter(families))
    chosen, _ = load_suite(name, families=[first])
    assert list(chosen.families) == [first]
