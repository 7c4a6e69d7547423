"""Attempts: drawn by seed, mapped, filled in."""

from __future__ import annotations

from llmops_cli.redteam.attempts import attempts_of
from llmops_cli.redteam.suite import builtin, load_suite


def test_the_same_seed_gives_the_same_attempts_and_another_other_secrets() -> None:
    suite, rounds = load_suite("full")
    first = attempts_of(suite, rounds=rounds, seed=1)
    assert first == attempts_of(suite, rounds=rounds, seed=1)
    assert [a.number for a in first] == list(range(len(first)))
    other = attempts_of(suite, rounds=rounds, seed=2)
    assert sum(a.target != b.target for a, b in zip(first, other, strict=True)) > len(first) / 2


def test_a_smaller_number_still_has_every_family() -> None:
    suite, rounds = load_suite("full")
    assert len(suite.families) >= 15
    families = {a.family for a in attempts_of(suite, rounds=rounds, seed=0, most=100) if not a.twin}
    assert families == set(suite.families)


def test_every_attack_is_mapped_and_filled_in() -> None:
    suite, rounds = load_suite("full")
    for family in suite.families.values():
        assert family.owasp.startswith("LLM")
        assert family.atlas.startswith("AML.T")
        assert family.cwe.startswith("CWE-")
    for attempt in attempts_of(suite, rounds=rounds, seed=0):
        for text in (*attempt.turns, attempt.system):
            for name in (
                "goal",
                "secret",
                "mark",
                "encoded",
                "first",
                "second",
                "letters",
                "shots",
                "who",
                "topic",
            ):
                assert "{" + name + "}" not in text, (attempt.attack, text)
    assert len(builtin().families["encoding"].transforms) >= 12
