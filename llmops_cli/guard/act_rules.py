"""Speech acts as linear-time automata (RE2) over clauses. How they are written: data/acts.yaml."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import re2

from llmops_cli.guard.automata import PatternSet
from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "acts.yaml"
MEMORY_BYTES = 24 << 20
MACRO = re.compile(r"<([A-Z_]+)>")
MACRO_DEPTH = 4
WORDS_BETWEEN = re.compile(r"~(\d{1,2})")
EDGE = re.compile(r"(?: \??~\d{1,2}|~\d{1,2}| |\(\?: \|\$\))+\Z")
"""What says nothing at a pattern's end."""
CHARS_BETWEEN = re.compile(r"%(\d{1,2})")
BYTES_A_CHAR = 3
"""Of the scripts without spaces, in UTF-8."""
TOGETHER = 16
ORDER = 1.0
"""Weight from which acts are an order to the model."""
DEEDS = ("carry", "order", "transact", "reply", "verdict")
"""What is to be done. The other acts say by whom, in whose name, when and in what secrecy."""


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`any` of the patterns is the act; of one act in a place the weightiest counts, once."""

    act: str
    weight: float
    any: tuple[str, ...]


class _ActsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    macros: dict[str, str]
    cues: tuple[str, ...]
    acts: list[Act]


class _ActSet:
    """Acts in one set of automata."""

    def __init__(self, acts: list[Act], macros: dict[str, str]) -> None:
        self._acts = acts
        patterns = ["|".join(expand(each, macros) for each in act.any) for act in acts]
        self._automata = PatternSet(patterns, together=TOGETHER, options=_options())

    def add(self, words: str, found: dict[str, float]) -> None:
        """Acts of those words with their weights, to those that were found."""
        for number in self._automata.match(words):
            act = self._acts[number]
            found[act.act] = max(found.get(act.act, 0.0), act.weight)


class ActRules:
    """All acts, compiled together: those that others need first, then what is ordered.

    Those in scripts of their own are looked for in texts that have others than ASCII's.
    """

    def __init__(self, file: _ActsFile) -> None:
        self.names = tuple(dict.fromkeys(act.act for act in file.acts))
        first = [act for act in file.acts if act.act not in DEEDS or act.weight >= ORDER]
        then = [act for act in file.acts if act not in first]
        self._first = _by_script(first, file.macros)
        self._then = _by_script(then, file.macros)
        self._cues = re2.compile(f"(?i){'|'.join(file.cues)}".encode(), re2.Options())

    def of(self, words: str, *, is_hidden: bool = False) -> dict[str, float]:
        """Act -> its weight in those words; nothing where they can be no order."""
        found: dict[str, float] = {}
        scripts = 1 if words.isascii() else 2
        for acts in self._first[:scripts]:
            acts.add(words, found)
        if found or is_hidden:
            for acts in self._then[:scripts]:
                acts.add(words, found)
        return found

    def all_of(self, words: str) -> dict[str, float]:
        """Every act, whatever the others are."""
        return self.of(words, is_hidden=True)

    def cues(self, text: str) -> Iterator[int]:
        """Where something stands that an order to the model may be near, in characters."""
        if text.isascii():
            for found in self._cues.finditer(text.encode()):
                yield found.start()
            return
        raw = text.encode()
        chars = 0
        done = 0
        for found in self._cues.finditer(raw):
            chars += len(raw[done : found.start()].decode(errors="ignore"))
            done = found.start()
            yield chars


def _by_script(acts: list[Act], macros: dict[str, str]) -> tuple[_ActSet, _ActSet]:
    """Those that ASCII can say, and the others."""
    other = [act for act in acts if not any(expand(each, macros).isascii() for each in act.any)]
    return (
        _ActSet([act for act in acts if act not in other], macros),
        _ActSet(other, macros),
    )


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = MEMORY_BYTES
    options.encoding = re2.Options.Encoding.LATIN1  # bytes of UTF-8: smaller automata
    options.log_errors = False
    return options


def expand(pattern: str, macros: dict[str, str]) -> str:
    """RE2's form of a pattern. No gap reaches beyond a clause."""
    pattern = EDGE.sub("", unicodedata.normalize("NFKC", pattern))
    for _ in range(MACRO_DEPTH):
        pattern = MACRO.sub(lambda found: macros[found[1]], pattern)
    pattern = WORDS_BETWEEN.sub(r"(?:[^ .]+ ){0,\1}", pattern)
    pattern = CHARS_BETWEEN.sub(_bytes_between, pattern)
    if pattern.startswith("="):  # scripts without spaces
        return f"(?:{pattern[1:]})"
    return f" (?:{pattern})(?: |$)"


def _bytes_between(found: re.Match[str]) -> str:
    return f"[^.]{{0,{BYTES_A_CHAR * int(found[1])}}}"


@cache
def builtin_acts() -> ActRules:
    """The acts that come with llmops."""
    return ActRules(msgspec.convert(load_yaml(DATA.read_bytes()), _ActsFile))
