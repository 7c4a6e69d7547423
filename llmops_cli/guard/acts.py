"""Whether a document or a tool's result addresses the model, gives it orders or carries data out.

Acts add up within a few neighbouring clauses, so that a text's length changes nothing.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

import msgspec

from llmops_cli.guard.act_rules import DEEDS, ORDER, builtin_acts
from llmops_cli.guard.clauses import BOUNDARY, Clause, clause_words, clauses_of, hidden_places
from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.planted import planted_in
from llmops_cli.guard.rules import builtin
from llmops_cli.guard.skeleton import skeleton

NEAR = 3
"""Clauses that are read together."""
AHEAD = 250
BEHIND = 400
SLACK = 100
"""Characters that are read around a cue; within the slack a clause ends."""
HIDDEN = "hidden"
HIDDEN_WEIGHT = 0.4
"""Added where readers of a page do not see the words."""
DEED = "deed"
WHOLE = frozenset(("sensitive", "blindness"))
"""Acts that are orders, too."""
SECRECY = "secrecy"
ADDRESSES = frozenset(("address", "hidden", "stealth", "consent"))
"""With one of them so is secrecy; by itself it is discretion, as people ask for."""
BY_HAND = re.compile(
    r" (?:press|click|tap|choose|select|menu|settings|button|tab|checkbox|screen|dialog) "
)
"""What people do at a screen: what is sent then is their own."""
BY_HAND_MOST = 0.6
PERSON = re.compile(r" (?:the |all |any |dear |support |coding )?agents? ")
MACHINE = re.compile(
    r" (?:a ?i|ais|llms?|language|gpt|chat ?gpt|gemini|claude|copilots?|\S*bots?|virtual|digital"
    r"|automat\S+|autonomous|artificial|machine|software|summar\S+|answers?|readers?|assistants?"
    r"|models?|you are|push|force|commit|env|run|secretpath) "
)
"""An agent may be a person, if none of these stands beside."""
PERSON_MOST = 0.5
MENTIONS = 2
SAID = re.compile(
    r"\b(?:wrote|said|typed|claimed|asked|posted|answered|replied|mailed|submitted"
    r"|schrieb|escribió)"
    r"[,:]? [\"“'`‘«„]"  # noqa: RUF001
)
"""Somebody did: one word more on attacks, and the text reports one."""
TOLD = re.compile(r"\w+ \w+[,:]? [\"“'`‘«]\Z")  # noqa: RUF001
LEAD_CHARS = 40
REPORTED = re.compile(
    r" (?:asking|asks|telling|tells|instructing|instructs|making|makes|tricking|tricks|get|gets)"
    r" (?:an? |the )?(?:\S+ )?(?:model|assistant|agent|ai|llm|bot|chatbot)s? "
)
CARRIED_OUT = re.compile(
    r"\b(?:follow|obey|do|execute|perform|carry out|apply|run|act on|comply with|befolge|suis)\b"
    r"[^.\n]{0,60}"
    r"\b(?:quot\w+|lines?|following|above|below|steps?|instructions?|sentences?|says?)\b",
    re.IGNORECASE,
)
"""What asks for quoted words to be done: then they are not only told."""


class ActEvidence(msgspec.Struct, frozen=True):
    """An act, and where in the text it stands."""

    act: str
    weight: float
    span: tuple[int, int]
    text: str = ""


class ActScan(msgspec.Struct, frozen=True):
    """`score` 1 and more is an order to the model; `evidence` adds up to it."""

    score: float
    evidence: tuple[ActEvidence, ...] = ()


NOTHING = ActScan(0.0)


def scan_acts(text: str) -> ActScan:
    """Linear in the text. What is near a cue is read, clause by clause where that may matter."""
    plain = normalise(text).text
    best: list[ActEvidence] = []
    for start, end in stretches(plain):
        found = _of_stretch(plain, start, end)
        if _weight(found) > _weight(best):
            best = found
    if plain != text:
        best = [msgspec.structs.replace(item, span=(0, len(text))) for item in best]
    return ActScan(round(_weight(best), 3), tuple(best))


def stretches(text: str) -> Iterator[tuple[int, int]]:
    """What of the text is near a cue."""
    start = 0
    end = 0
    for cue in builtin_acts().cues(text):
        if cue - AHEAD > end:
            if end:
                yield _from_boundary(text, start), end
            start = cue - AHEAD
        end = cue + BEHIND
    if end:
        yield _from_boundary(text, start), min(end, len(text))


def _from_boundary(text: str, start: int) -> int:
    """A place nearby where a clause begins."""
    if start == 0:
        return 0
    found = BOUNDARY.search(text, start, start + SLACK)
    return found.end() if found else start


def _of_stretch(text: str, start: int, end: int) -> list[ActEvidence]:
    stretch = text[start:end]
    words = clause_words(stretch)
    held = builtin_acts().of(words, is_hidden="<" in stretch)
    found = _nearest(stretch) if sum(held.values()) + HIDDEN_WEIGHT >= ORDER else []
    if _weight(found) < ORDER and not _tells_of_attacks(stretch):
        planted = planted_in(stretch, words)
        found = [ActEvidence(rule.id, rule.weight, (0, len(stretch))) for rule in planted] or found
    return [
        msgspec.structs.replace(item, span=(item.span[0] + start, item.span[1] + start))
        for item in found
    ]


def _nearest(text: str) -> list[ActEvidence]:
    """The acts of the neighbouring clauses with most of them."""
    hidden = hidden_places(text)
    tells = _tells_of_attacks(text)
    window: deque[list[ActEvidence]] = deque(maxlen=NEAR)
    best: list[ActEvidence] = []
    for clause in clauses_of(text):
        window.append([] if tells and _is_told(text, clause) else _acts_of(clause, hidden))
        if not window[-1]:
            continue
        together = counted([item for items in window for item in items])
        if _weight(together) > _weight(best):
            best = together
    return best


def counted(found: list[ActEvidence]) -> list[ActEvidence]:
    """Each act once, of the deeds one: a list of things to do is no order to the model."""
    weightiest: dict[str, ActEvidence] = {}
    for item in found:
        slot = DEED if item.act in DEEDS else item.act
        if slot not in weightiest or item.weight > weightiest[slot].weight:
            weightiest[slot] = item
    is_secret = SECRECY in weightiest and bool(weightiest.keys() & ADDRESSES)
    if DEED not in weightiest and not weightiest.keys() & WHOLE and not is_secret:
        return []
    return list(weightiest.values())


def _weight(found: list[ActEvidence]) -> float:
    return sum(item.weight for item in found)


def _acts_of(clause: Clause, hidden: list[tuple[int, int]]) -> list[ActEvidence]:
    found = [ActEvidence(act, weight, clause.span) for act, weight in _held(clause.words)]
    if found and any(start < clause.span[1] and clause.span[0] < end for start, end in hidden):
        found.append(ActEvidence(HIDDEN, HIDDEN_WEIGHT, clause.span))
    return found


def _held(words: str) -> list[tuple[str, float]]:
    found = builtin_acts().all_of(words)
    if "address" in found and PERSON.search(words) and not MACHINE.search(words):
        found["address"] = min(found["address"], PERSON_MOST)
    if "carry" in found and BY_HAND.search(words):
        found["carry"] = min(found["carry"], BY_HAND_MOST)
    return list(found.items())


def _tells_of_attacks(text: str) -> bool:
    if CARRIED_OUT.search(text):
        return False
    mentions = len(builtin().mention.match(skeleton(text)))
    return mentions >= MENTIONS or (mentions > 0 and SAID.search(text) is not None)


def _is_told(text: str, clause: Clause) -> bool:
    """Whether the clause is quoted within a sentence, or recounts what a model is told."""
    start = clause.span[0]
    return bool(REPORTED.search(clause.words)) or bool(
        TOLD.search(text[max(start - LEAD_CHARS, 0) : start])
    )
