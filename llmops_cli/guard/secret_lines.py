"""Secrets in a file, by line: for files that people write and machines pass on."""

from __future__ import annotations

from typing import NamedTuple

from llmops_cli.guard.keys import is_drawn
from llmops_cli.guard.personal import SECRETS, Entity, find
from llmops_cli.guard.recognisers import key_forms

WORDS = {
    "secret": "a secret",
    "password": "a password",
    "jwt": "a JSON web token",
    "private_key": "a private key",
}


class SecretLine(NamedTuple):
    """`what`: in words, without the secret."""

    line: int
    what: str


def secret_lines(text: str) -> list[SecretLine]:
    """Each line once."""
    forms = key_forms()
    found: dict[int, SecretLine] = {}
    for entity in find(text):
        if entity.kind not in SECRETS or not _is_meant(entity, text, forms):
            continue
        line = text.count("\n", 0, entity.span[0]) + 1
        what = f"a key ({entity.rule})" if entity.rule in forms else WORDS[entity.kind]
        found.setdefault(line, SecretLine(line, what))
    return list(found.values())


def _is_meant(entity: Entity, text: str, forms: list[str]) -> bool:
    """A manual's example is no key."""
    return entity.rule not in forms or is_drawn(text[slice(*entity.span)])
