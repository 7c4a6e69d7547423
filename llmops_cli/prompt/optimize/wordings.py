"""Instructions that are tried on any prompt, by name. They say how to answer, never what."""

from __future__ import annotations

from collections.abc import Sequence

WORDINGS = {
    "carefully": "Work carefully, and check the result before you answer.",
    "answer-alone": "Reply with the answer alone: no explanation, no other words.",
    "exact-form": "Keep exactly to the form that is asked for.",
    "steps": "Think step by step before you answer.",
    "steps-last-line": "Think step by step, then write the answer alone on the last line.",
    "read-twice": "Read the question twice. Use every fact that it gives, and no other.",
    "restate": "First make clear to yourself what exactly is asked, then answer that.",
    "expert": "You are an expert in this kind of task.",
    "plan": "Make a short plan, carry it out, then answer.",
    "likely-reading": "Where something is unclear, take its most likely reading and answer.",
    "as-examples": "Answer in the same form as earlier answers, if there are any.",
    "short": "Be brief.",
    "no-markup": "Write plain text, without markup.",
    "verify": "When you have an answer, try to prove it wrong; give it only if you cannot.",
}
"""Name -> text."""
OWN = "own"
"""What the user's wordings are named after: own-1, own-2, ..."""


def wordings_with(own: Sequence[str]) -> dict[str, str]:
    """The user's first."""
    named = {f"{OWN}-{number}": text for number, text in enumerate(own, start=1)}
    return {**named, **WORDINGS}
