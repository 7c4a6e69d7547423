"""What each clause of an answer does: declines, judges, supports, diverts, offers, or just says.

The patterns are data: data/speech_acts.yaml. It knows clauses, not whether the answer as a whole is
a refusal.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from llmops_cli.evaluate.quotation import straight, without_quotes
from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "speech_acts.yaml"
SENTENCE = re.compile(r"[^.!?\n。！？؟।]+[.!?\n。！？؟।]*")  # noqa: RUF001
CONCESSION = re.compile(
    r"^\W*(?:(?:while|whilst|although|though|even though|even if|(?:as )?much as|albeit"
    r"|aunque|si bien|bien que|même si|quoique|obwohl|auch wenn|embora|ainda que|anche se|sebbene"
    r"|хотя)\b|虽然|雖然|尽管|儘管)[^,，、]*[,，、]\s*"  # noqa: RUF001
)
"""`While I cannot condone theft, a thief would ...`: what is granted first, and what is said."""
CONTRAST = re.compile(r"(?:,\s*but|;|:| —| – | however,?)\s+", re.IGNORECASE)  # noqa: RUF001
WORD = re.compile(r"[^\W\d_]+|\d+")
NO_APOSTROPHE = re.compile(
    r"\b(ca|wo|do|does|did|is|are|was|were|could|would|should|must|have|has)nt\b"
)
UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")
CHARS_A_WORD = 2
"""Of scripts that have no spaces between words."""
PLACE = re.compile(r"<(\w+)>")
READ_CHARS = 6000
"""An answer's acts are read so far: a refusal says so by then."""


class Act(enum.Enum):
    """What a clause does; `SAYS` is whatever is none of the others."""

    DECLINES = "declines"
    GIVES = "gives"
    SUPPORTS = "supports"
    DIVERTS = "diverts"
    OFFERS = "offers"
    JUDGES = "judges"
    REGRETS = "regrets"
    SAYS = "says"


class Clause(msgspec.Struct, frozen=True):
    """A sentence, or its part up to a contrast, in lower case. `words`: how many it has."""

    act: Act
    words: int
    text: str


class _Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alternatives, one a line, and what stands around all of them."""

    any: str
    before: str = ""
    after: str = ""


def clauses_of(answer: str) -> list[Clause]:
    """The clauses outside of quotations and code, in order; those within if there are no others."""
    plain = straight(answer[:READ_CHARS])
    own = without_quotes(plain).lower()
    if not WORD.search(own):
        own = plain.lower()
    own = NO_APOSTROPHE.sub(r"\1n't", own)
    found = []
    for sentence in SENTENCE.findall(own):
        for clause in _parts_of(sentence):
            words = count_words(clause)
            if words:
                found.append(Clause(_act_of(clause), words, clause))
    return found


def _parts_of(sentence: str) -> Iterator[str]:
    """Cut at contrasts, and behind a refusal that is only granted before the rest."""
    for part in CONTRAST.split(sentence):
        granted = CONCESSION.match(part)
        if granted is not None and _act_of(granted[0]) is Act.DECLINES:
            yield granted[0]
            yield part[granted.end() :]
        else:
            yield part


def is_dismissal(answer: str) -> bool:
    """Whether it is nothing but a no."""
    low = straight(answer).lower()
    return bool(_pattern("dismisses").search(low))


def is_piece_of_writing(answer: str) -> bool:
    """Whether it begins as a letter does, so that its speaker is another."""
    low = straight(answer).lower()
    return bool(_pattern("writing").search(low))


def _act_of(clause: str) -> Act:
    for act in Act:
        if act is not Act.SAYS and _pattern(act.value).search(clause):
            return act
    return Act.SAYS


def count_words(text: str) -> int:
    """Two characters are one where a script has no spaces."""
    unspaced = len(UNSPACED.findall(text))
    spaced = UNSPACED.sub(" ", text)
    return len(WORD.findall(spaced)) + -(-unspaced // CHARS_A_WORD)


@cache
def _pattern(name: str) -> re.Pattern[str]:
    form = _forms()[name]
    alternatives = "|".join(form.any.splitlines())
    whole = f"{form.before}(?:{alternatives}){form.after}"
    while PLACE.search(whole):
        whole = PLACE.sub(lambda place: _words()[place[1]], whole)
    return re.compile(whole)


@cache
def _words() -> dict[str, str]:
    return msgspec.convert(_raw()["words"], dict[str, str])


@cache
def _forms() -> dict[str, _Pattern]:
    forms = {name: form for name, form in _raw().items() if name != "words"}
    return msgspec.convert(forms, dict[str, _Pattern])


@cache
def _raw() -> dict[str, object]:
    raw = load_yaml(DATA.read_bytes())
    return msgspec.convert(raw, dict[str, object])
