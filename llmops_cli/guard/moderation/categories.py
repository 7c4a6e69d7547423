"""OpenAI's categories of moderation, and other makers' names of the same."""

from __future__ import annotations

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
ALIASES = {
    "toxic": "harassment",
    "toxicity": "harassment",
    "severe_toxic": "harassment",
    "severe_toxicity": "harassment",
    "insult": "harassment",
    "obscene": "harassment",
    "hr": "harassment",
    "threat": "harassment/threatening",
    "identity_hate": "hate",
    "identity_attack": "hate",
    "h": "hate",
    "h2": "hate/threatening",
    "sh": "self-harm",
    "sexual_explicit": "sexual",
    "s": "sexual",
    "s3": "sexual/minors",
    "v": "violence",
    "v2": "violence/graphic",
}
"""Labels of Jigsaw's data and of models fitted to OpenAI's; several may mean one category."""


def category_of(label: str) -> str | None:
    """OpenAI's name for it; None where it has none, such as `neutral` or `OK`."""
    name = label.strip().lower()
    if name in CATEGORIES:
        return name
    return ALIASES.get(name)
