"""What only the raw text shows: role markers, delimiters, hidden HTML, long runs of examples.

The patterns are data: data/structure.yaml.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec

from llmops_cli.guard.automata import PatternSet
from llmops_cli.guard.rules import Rule
from llmops_cli.guard.skeleton import words_of
from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "structure.yaml"
SHOTS_LEAST = 12
SPEAKER = re.compile(r"(?im)^\s{0,4}(?:user|human|q|question|assistant|ai|a|answer)\s?[:.]")
MANY_SHOT = Rule(id="structure.many-shot", family="jailbreak", weight=0.5, any=())
REPEATED = Rule(id="structure.repetition", family="direct_hijack", weight=0.5, any=())
REPEATED_LEAST = 60
"""Words: fewer repeat by chance."""
REPEATED_SHARE = 0.12
REPEATED_FREE = 6
"""Different words that even a short repeated text has."""


class _StructureEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    family: str
    weight: float
    any: tuple[str, ...]
    flags: str = ""

    @property
    def pattern(self) -> str:
        flags = f"(?{self.flags})" if self.flags else ""
        return flags + "|".join(self.any)

    @property
    def rule(self) -> Rule:
        return Rule(id=self.id, family=self.family, weight=self.weight, any=())


@cache
def _compiled() -> tuple[PatternSet, list[Rule]]:
    entries = msgspec.convert(load_yaml(DATA.read_bytes()), list[_StructureEntry])
    found = PatternSet([entry.pattern for entry in entries], together=len(entries))
    return found, [entry.rule for entry in entries]


def structure_of(text: str, skeleton: str) -> list[Rule]:
    """The structural rules that hold for the text."""
    found, rules = _compiled()
    held = [rules[index] for index in found.match(text)]
    words = words_of(skeleton)
    count = len(words.in_order)
    if count < REPEATED_LEAST:
        return held
    if len(words.different) < REPEATED_SHARE * count + REPEATED_FREE:
        held.append(REPEATED)
    if text.count("\n") >= SHOTS_LEAST and sum(1 for _ in SPEAKER.finditer(text)) >= SHOTS_LEAST:
        held.append(MANY_SHOT)
    return held
