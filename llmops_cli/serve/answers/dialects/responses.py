"""Answers of OpenAI's Responses, as far as the gateway reads them."""

from __future__ import annotations

from llmops_cli.serve.answers.dialects.choice_texts import Json, TextPlace
from llmops_cli.serve.answers.dialects.slots import slots_in_response

ANSWERS = ("text", "refusal", "output_text")
"""Fields in which a blocked answer is told to be one."""


def places_of_response(answer: Json) -> list[TextPlace]:
    """Every text of a whole response."""
    found = []
    for slot in slots_in_response(answer):
        name = "content" if slot.field in ANSWERS else str(slot.field)
        found.append(TextPlace(answer, name, slot.holder, slot.field))
    return found
