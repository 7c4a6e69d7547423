"""The task is seeded and its held-out numbers never occur in training."""

from __future__ import annotations

from llmops_cli.evaluate.demo_task import SKILLS, evaluation_examples, training_examples


def test_the_same_seed_gives_the_same_chats() -> None:
    assert list(training_examples(50, seed=3)) == list(training_examples(50, seed=3))
    assert list(training_examples(50, seed=3)) != list(training_examples(50, seed=4))


def test_evaluation_covers_every_skill_with_distinct_prompts() -> None:
    examples = evaluation_examples(20)
    assert {e.skill for e in examples} == set(SKILLS)
    prompts = [str(e.prompt) for e in examples]
    assert len(set(prompts)) == len(prompts)


def test_held_out_numbers_are_not_trained_on() -> None:
    trained = {str(e.prompt) for e in training_examples(20000, seed=0) if e.skill == "successor"}
    asked = {str(e.prompt) for e in evaluation_examples(50) if e.skill == "successor"}
    assert asked
    assert not asked & trained
