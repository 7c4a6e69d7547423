"""Signs in the form of an answer: refusals, apologies, steps, code, talk about rules.

The patterns are data: data/signs.yaml.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "signs.yaml"
FLAGS = {"m": re.MULTILINE, "i": re.IGNORECASE}

SignName = Literal[
    "refuse",
    "refuse_plainly",
    "as_ai",
    "moral",
    "advise",
    "comply",
    "steps",
    "how",
    "acts",
    "explain",
    "confused",
    "surprised",
    "hedges",
    "negations",
    "discourages",
    "takes_back",
]


class Sign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the file; `any` has a pattern a line."""

    any: str
    before: str = ""
    after: str = ""
    flags: str = ""

    def compiled(self) -> re.Pattern[str]:
        alternatives = "|".join(self.any.splitlines())
        flags = re.RegexFlag(0)
        for letter in self.flags:
            flags |= FLAGS[letter]
        pattern = f"{self.before}(?:{alternatives}){self.after}"
        return re.compile(pattern, flags)


@cache
def sign(name: SignName) -> re.Pattern[str]:
    """The sign of that name."""
    return _all()[name].compiled()


def shows(name: SignName, text: str) -> bool:
    """Whether the text has it."""
    return bool(sign(name).search(text))


def count(name: SignName, text: str) -> int:
    """How often the text has it."""
    return len(sign(name).findall(text))


@cache
def _all() -> dict[SignName, Sign]:
    raw = load_yaml(DATA.read_bytes())
    return msgspec.convert(raw, dict[SignName, Sign])
