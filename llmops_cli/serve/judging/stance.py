"""Did a model refuse what the guard suspected and let through? Asked when the answer has gone."""

from __future__ import annotations

from enum import StrEnum

QUESTION_CHARS = 8 << 10
ANSWER_CHARS = 32 << 10
"""What an answer does is plain from its beginning; the judge's cost grows with its length."""


class ModelStance(StrEnum):
    """NOTHING: no words were said. UNJUDGED: nobody could look."""

    REFUSED = "refused"
    COMPLIED = "complied"
    UNCLEAR = "unclear"
    NOTHING = "nothing"
    UNJUDGED = "unjudged"


def stance_to(question: str, answers: list[str]) -> ModelStance:
    """Of several answers the one that gives most counts: compliance before doubt before refusal."""
    found = {_stance_of(question[-QUESTION_CHARS:], answer[:ANSWER_CHARS]) for answer in answers}
    for stance in (ModelStance.COMPLIED, ModelStance.UNCLEAR, ModelStance.REFUSED):
        if stance in found:
            return stance
    return ModelStance.NOTHING


def _stance_of(question: str, answer: str) -> ModelStance:
    from llmops_cli.evaluate.compliance import complies, is_refusal

    if not answer.strip():
        return ModelStance.NOTHING
    if is_refusal(answer, question=question):
        return ModelStance.REFUSED
    if complies(question, answer, own_words=answer):
        return ModelStance.COMPLIED
    return ModelStance.UNCLEAR
