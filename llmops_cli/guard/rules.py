"""Attack phrases as one linear-time automaton (RE2): which rules a text's skeleton contains, and
where.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import re2
import yaml

DATA = Path(__file__).with_name("data") / "rules.yaml"
MEMORY = 24 << 20
TOGETHER = 24
"""Patterns in one automaton: with all of them its states overflow RE2's cache, and it becomes ten
times slower.
"""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`any` of the patterns makes the rule count, once, with its weight. Patterns: data/rules.yaml
    says how.
    """

    id: str
    family: str
    weight: float
    any: tuple[str, ...]


class _RulesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    macros: dict[str, str]
    rules: list[Rule]
    mention: list[str]


class RuleSet:
    """Rules compiled together. `glued` matches text whose words have lost their spaces."""

    def __init__(self, rules: list[Rule], macros: dict[str, str], *, glued: bool = False) -> None:
        self.rules = rules
        self._glued = glued
        options = _options()
        pairs = [
            (number, expand(pattern, macros, glued=glued))
            for number, rule in enumerate(rules)
            for pattern in rule.any
        ]
        self._owner = [number for number, _ in pairs]
        self._patterns = [pattern for _, pattern in pairs]
        self._sets: list[tuple[int, re2.Set]] = []
        for first in range(0, len(pairs), TOGETHER):
            together = re2.Set.SearchSet(options)
            for pattern in self._patterns[first : first + TOGETHER]:
                together.Add(pattern)
            together.Compile()
            self._sets.append((first, together))

    def matches(self, skeleton: str) -> dict[Rule, list[int]]:
        """Rule -> numbers of its patterns that are in the skeleton."""
        found: dict[Rule, list[int]] = {}
        raw = skeleton.encode()
        for first, together in self._sets:
            for index in together.Match(raw) or ():
                found.setdefault(self.rules[self._owner[first + index]], []).append(first + index)
        return found

    def spans(self, index: int, skeleton: str) -> Iterator[tuple[int, int]]:
        """Where the pattern of that number stands, in characters of the skeleton, one after the
        other.
        """
        raw = skeleton.encode()
        chars = 0
        done = 0
        for match in _searcher(self._patterns[index]).finditer(raw):
            start = chars + len(raw[done : match.start()].decode(errors="ignore"))
            chars = start + len(match[0].decode(errors="ignore"))
            done = match.end()
            yield start, chars


@cache
def _searcher(pattern: str) -> re2._Regexp:
    return re2.compile(pattern.encode(), _options())


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = MEMORY
    options.encoding = re2.Options.Encoding.LATIN1  # bytes of UTF-8: smaller automata
    options.log_errors = False
    return options


def expand(pattern: str, macros: dict[str, str], *, glued: bool = False) -> str:
    """RE2's form of a rule's pattern; a word boundary on both sides where it begins or ends with a
    Latin letter.
    """
    for _ in range(3):
        pattern = re.sub(r"<([A-Z]+)>", lambda m: macros[m[1]], pattern)
    pattern = re.sub(r"~(\d{1,2})", r"(?:[^ ]+ ){0,\1}", pattern).replace(r"\S", "[^ ]")
    if glued:
        return (
            re.sub(r"\(\?:\[\^ \]\+ \)\{0,\d\}", "[a-z]{0,12}", pattern)
            .replace(" ", " ?")
            .replace(" ??", " ?")
        )
    wild = re.compile(r"[\u0e00-\u0eff\u3000-\u9fff\uac00-\ud7af]").search(pattern)
    if wild:  # [^ ] is a byte, and a character of these scripts is three
        return (
            "(?:"
            + re.sub(r"\[\^ \]\{0,(\d+)\}", lambda m: f"[^ ]{{0,{3 * int(m[1])}}}", pattern)
            + ")"
        )
    return f" (?:{pattern})(?: |$)"


@cache
def builtin() -> tuple[RuleSet, RuleSet, re2.Set, int]:
    """(rules, the same for glued text, what mentions attacks, how many kinds of mention)."""
    raw = yaml.load(DATA.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    file = msgspec.convert(raw, _RulesFile)
    strong = [rule for rule in file.rules if rule.weight >= 0.6]
    mention = re2.Set.SearchSet(_options())
    for pattern in file.mention:
        mention.Add(expand(pattern, file.macros))
    mention.Compile()
    return (
        RuleSet(file.rules, file.macros),
        RuleSet(strong, file.macros, glued=True),
        mention,
        len(file.mention),
    )
