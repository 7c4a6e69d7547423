"""Attack phrases as linear-time automata (RE2): which rules a text's skeleton has, and where."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import cache, cached_property
from pathlib import Path

import msgspec
import re2

from llmops_cli.guard.automata import PatternSet, automaton_of
from llmops_cli.guard.needed_words import NeededWords
from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "rules.yaml"
MEMORY_BYTES = 24 << 20
STRONG = 0.6
"""Weight from which a rule counts in glued text too."""
MACRO = re.compile(r"<([A-Z]+)>")
MACRO_DEPTH = 3
WIDE = re.compile(r"[\u0e00-\u0eff\u3000-\u9fff\uac00-\ud7af]")
"""Scripts that write no spaces."""
SOME_CHARS = re.compile(r"\[\^ \]\{0,(\d+)\}")
LANGUAGES = "languages."
"""Ids of the rules for languages other than English."""
TOGETHER = 64
"""Patterns in other scripts in one automaton: hardly any of them begins in a text."""
TOGETHER_GLUED = 24


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`any` of the patterns makes the rule count, once, with its weight.

    How they are written: data/rules.yaml. `says_again`: it holds for what a text means, which its
    phrases say too where they are known.
    """

    id: str
    family: str
    weight: float
    any: tuple[str, ...]
    says_again: bool = False


class _RulesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    macros: dict[str, str]
    rules: list[Rule]
    mention: list[str]
    carry_out: list[str]


class _Automata:
    """Patterns, each by itself, made when a text first may hold it.

    Of few states each, they are read ten times faster than in one: its states are every mixture
    of theirs. Those in other scripts, which no word tells of beforehand, are together.
    """

    def __init__(self, patterns: list[str], *, glued: bool) -> None:
        self._patterns = patterns
        numbers = range(len(patterns))
        many = [number for number in numbers if glued or not patterns[number].isascii()]
        size = TOGETHER_GLUED if glued else TOGETHER
        self._groups = [tuple(many[at : at + size]) for at in range(0, len(many), size)]
        self._in_groups = frozenset(many)
        self._alone = _EachAlone(patterns)
        self._made: dict[tuple[int, ...], PatternSet] = {}

    def match(self, raw: bytes, possible: AbstractSet[int]) -> list[int]:
        """Those of the possible ones that the text holds."""
        alone = possible - self._in_groups
        held = [number for number in alone if self._alone[number].Match(raw)]
        if len(alone) == len(possible):
            return held
        for group in self._groups:
            if not possible.isdisjoint(group):
                matched = self._of(group).match(raw)
                held += [group[index] for index in matched if group[index] in possible]
        return held

    def owners_matched(
        self,
        raw: bytes,
        possible: AbstractSet[int],
        owners: Sequence[str],
    ) -> set[str]:
        """Owners of those that the text holds; an owner that has one is looked for no further."""
        found: set[str] = set()
        for number in possible - self._in_groups:
            if owners[number] not in found and self._alone[number].Match(raw):
                found.add(owners[number])
        others = {number for number in possible & self._in_groups if owners[number] not in found}
        return (
            found.union(owners[number] for number in self.match(raw, others)) if others else found
        )

    def _of(self, numbers: tuple[int, ...]) -> PatternSet:
        made = self._made.get(numbers)
        if made is None:
            written = [self._patterns[number] for number in numbers]
            made = PatternSet(written, together=len(written), options=_options())
            self._made[numbers] = made
        return made


class _EachAlone(dict[int, re2.Set]):
    """The automaton of a pattern, by number."""

    def __init__(self, patterns: Sequence[str]) -> None:
        super().__init__()
        self._patterns = patterns

    def __missing__(self, number: int) -> re2.Set:
        made = automaton_of([self._patterns[number]], _options())
        self[number] = made
        return made


class RuleSet:
    """Rules compiled together. `glued` matches text whose words have lost their spaces."""

    def __init__(
        self,
        rules: list[Rule],
        macros: dict[str, str],
        *,
        glued: bool = False,
    ) -> None:
        self.rules = rules
        self._owners: list[Rule] = []
        self._patterns: list[str] = []
        for rule in rules:
            for pattern in rule.any:
                self._owners.append(rule)
                self._patterns.append(expand(pattern, macros, glued=glued))
        self._automata = _Automata(self._patterns, glued=glued)
        self._ids = [rule.id for rule in self._owners]
        self._ranks = {number: self._rank_of(number) for number in range(len(self._patterns))}
        self._is_glued = glued

    @property
    def patterns(self) -> Sequence[str]:
        """By number."""
        return self._patterns

    @cached_property
    def _needed(self) -> NeededWords:
        return NeededWords(self._patterns)

    def _rank_of(self, number: int) -> tuple[bool, int]:
        """Where it is told of: other languages' last."""
        return self._owners[number].id.startswith(LANGUAGES), number

    def matches(self, skeleton: str) -> dict[Rule, list[int]]:
        """Rule -> numbers of its patterns that are in the skeleton."""
        return self.matches_of(skeleton, self.possible(skeleton))

    def matches_of(self, skeleton: str, possible: AbstractSet[int]) -> dict[Rule, list[int]]:
        """The same, of patterns with these numbers."""
        if not possible:
            return {}
        held = self._automata.match(skeleton.encode(), possible)
        found: dict[Rule, list[int]] = {}
        for number in sorted(held, key=self._ranks.__getitem__):
            found.setdefault(self._owners[number], []).append(number)
        return found

    def ids_held(self, skeleton: str, possible: AbstractSet[int]) -> set[str]:
        """Ids of the rules that hold by patterns with these numbers: one of a rule's is enough."""
        if not possible:
            return set()
        return self._automata.owners_matched(skeleton.encode(), possible, self._ids)

    def owners_of(self, numbers: Iterable[int]) -> set[str]:
        """Ids of the rules that have them."""
        return set(map(self._ids.__getitem__, numbers))

    def of_rules(self, numbers: Iterable[int], ids: AbstractSet[str]) -> set[int]:
        """Those of the patterns that belong to these rules."""
        return {number for number in numbers if self._ids[number] in ids}

    def possible(self, skeleton: str) -> AbstractSet[int]:
        """Numbers of the patterns that it has the words for."""
        if self._is_glued:
            return dict.fromkeys(range(len(self._patterns))).keys()
        return self._needed.possible(skeleton)

    def spans(self, number: int, skeleton: str) -> Iterator[tuple[int, int]]:
        """Where that pattern stands, in characters of the skeleton, one after the other."""
        raw = skeleton.encode()
        found = _searcher(self._patterns[number]).finditer(raw)
        if len(raw) == len(skeleton):
            for match in found:
                yield match.span()
            return
        chars = 0
        done = 0
        for match in found:
            between = raw[done : match.start()].decode(errors="ignore")
            start = chars + len(between)
            chars = start + len(match[0].decode(errors="ignore"))
            done = match.end()
            yield start, chars


@cache
def _searcher(pattern: str) -> re2._Regexp:
    return re2.compile(pattern.encode(), _options())


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = MEMORY_BYTES
    options.encoding = re2.Options.Encoding.LATIN1  # bytes of UTF-8: smaller automata
    options.log_errors = False
    return options


def expand(
    pattern: str,
    macros: dict[str, str],
    *,
    glued: bool = False,
) -> str:
    """RE2's form of a rule's pattern.

    With a word boundary on both sides where it begins or ends with a Latin letter.
    """
    pattern = unicodedata.normalize("NFKC", pattern)  # as the texts are
    for _ in range(MACRO_DEPTH):
        pattern = MACRO.sub(lambda found: macros[found[1]], pattern)
    pattern = re.sub(r"~(\d{1,2})", r"(?:[^ ]+ ){0,\1}", pattern).replace(r"\S", "[^ ]")
    if glued:
        return _without_spaces(pattern)
    if WIDE.search(pattern):
        return f"(?:{SOME_CHARS.sub(_in_bytes, pattern)})"
    return f" (?:{pattern})(?: |$)"


def _without_spaces(pattern: str) -> str:
    together = re.sub(r"\(\?:\[\^ \]\+ \)\{0,\d\}", "[a-z]{0,12}", pattern)
    return together.replace(" ", " ?").replace(" ??", " ?")


def _in_bytes(found: re.Match[str]) -> str:
    """[^ ] is a byte, and a character of these scripts is three."""
    return f"[^ ]{{0,{3 * int(found[1])}}}"


class BuiltinRules(msgspec.Struct, frozen=True):
    """All that data/rules.yaml says.

    `glued`: the strong rules for text whose words have lost their spaces. `mention`: what speaks
    about attacks. `carry_out`: what asks to do as a quoted text says.
    """

    rules: RuleSet
    glued: RuleSet
    mention: PatternSet
    carry_out: PatternSet


@cache
def builtin() -> BuiltinRules:
    """The rules that come with llmops."""
    file = msgspec.convert(load_yaml(DATA.read_bytes()), _RulesFile)
    strong = [rule for rule in file.rules if rule.weight >= STRONG]
    return BuiltinRules(
        rules=RuleSet(file.rules, file.macros),
        glued=RuleSet(strong, file.macros, glued=True),
        mention=_together(file.mention, file.macros),
        carry_out=_together(file.carry_out, file.macros),
    )


def _together(patterns: list[str], macros: dict[str, str]) -> PatternSet:
    expanded = [expand(pattern, macros) for pattern in patterns]
    return PatternSet(expanded, together=len(expanded), options=_options())
