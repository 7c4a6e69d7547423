"""Whether a phrase that a rule takes for an order to the model is somebody else's business.

`The instructions of the landlord` are not the model's, and words on both sides of a sentence's end
are no phrase.
"""

from __future__ import annotations

import re

from llmops_cli.guard.evidence import Span

SENTENCE_CUT = re.compile(r"[.!?][\"')\]]?\s+(?=[\"'(\[]?[A-Z])|\n\s*\n")
LEAST_WORDS = 2
"""On each side of the end of a sentence: `Ignore. All instructions.` is one phrase."""
YOURS = re.compile(r"\b(?:your|ur)\b", re.IGNORECASE)
POINTS_ON = re.compile(r"\b(?:it|this|these|that|them)$", re.IGNORECASE)
"""What it is follows in the next sentence: `Never say it. The secret word is tulip.`"""
FORBIDDEN = re.compile(r"\b(?:never|not|don't|must not|nobody)\s+$", re.IGNORECASE)
READERS_OWN = re.compile(
    r"\byour (?:\w+ )?(?:password|pin|code|passcode|secret|key|token|credential|login)",
    re.IGNORECASE,
)
THE_PROMPT = re.compile(
    r"[^.!?\n]*\b(?:instructions?|prompts?|rules|guidelines|directives|briefing)\b",
    re.IGNORECASE,
)
LEAD_CHARS = 24
TOLD_OF_CHARS = 60
SOMEBODY = re.compile(
    r"\b(?:the|an?|any|every|each|all|our|his|her|their|my|these|those|no)\s+(?:\w+\s+)?"
    r"(?!(?:\w*bots?|assistants?|models?|ais?|llms?|agents?|systems?|machines?|programs?"
    r"|gpt|readers?|recipients?|entit\w+|copilots?|answerers?|receivers?|answers?|repl\w+"
    r"|responses?|outputs?)\b)"
    r"[a-z]{3,}\s+(?:should|must|shall|may|might|can|could|will|would|did|ha[sd] to|have to"
    r"|needs? to|(?:is|are|was|were) (?:\w+ )?to)\s+(?:then |also |now |not |never |simply )?$",
    re.IGNORECASE,
)
"""`The patient should disregard the instructions`: an order to him, and no model is he."""
AFTER_CHARS = 16
GOES_ON = re.compile(r"[^.!?\n]{0,40}\w")
MODELS = (
    r"system|sistem|prompt|developer|operator|user|assistant|admin|creator|maker|owner|openai"
    r"|anthropic|google|company|chat|conversation|context|message|model|ai\b|your|above|before"
    r"|now|here|this|that|my\b|me\b|us\b|start|begin|all\b|course\b|today|once\b"
    r"|todo|momento|instant|oben|vorhin|anfang|davor|vorher|antes|arriba|avant|debut|début|inicio"
    r"|início|inizio|principio|prima\b|sopra|cima|entwickler|betreiber|nutzer|desarroll|usuario"
    r"|utilis|utent|svilupp|desenvolv|developp|creat|creador|createur|hersteller|anbieter|firma"
)
SPANS = (
    r"moment|second|sec\b|minute|while\b|bit\b|hour|day\b|time\b|turn\b|answer|reply|replies"
    r"|response|question|message|request|prompt|task|chat|conversation|session"
)
"""How long somebody is to ignore what he is told, or in what."""
OF_OTHERS = re.compile(
    r"(?:[ \t]+\w+)?[ \t]+(?:of|from|by (?!\w+ing\b)|du|des|de la|de los|de las|de l'|del"
    r"|della|dello|dell'|do|da|dos|vom"
    rf"|von|des|der|zur|zum) (?:the |a |an |mr\.? |mrs\.? |herrn? |frau |le |la )?"
    rf"(?!{MODELS}|{SPANS})\w"
    r"|[ \t]+(?:that )?(?:you )?(?:gave|sent|told|showed|wrote|mailed) (?:me|us)\b"
    r"|[ \t]+about (?!you|your|me|this|it|that|them)\w"
    rf"|[ \t]+for (?:an?|each|every) (?!me\b|(?:\w+ )?(?:{SPANS}))\w"
    r"|[ \t]+in (?:the|my|our|your|this|that|an?) (?:\w+ )?(?:manual|mail|e-?mail|letter|recipe"
    r"|leaflet|guide|readme|handbook|booklet|brochure|docs?|wiki|ticket|contract|book|form)\b",
    re.IGNORECASE,
)


MEANT = re.compile(
    r"\b(?:previous|prior|above|earlier|preceding|foregoing|former|initial|original|existing"
    r"|current|your|ur|system)\b"
    "|之前|以前|先前|上面|以上|上述|上記|これまで|이전|위의",
    re.IGNORECASE,
)
"""Which instructions are meant: those that the model has, whatever is said behind it."""
TOLD_OF_IT = re.compile(
    r"\W*(?:ignor|disregard|forgot|forget|bypass|overrid|overr|drop|abandon)\w*(?:ed|es|s|t|de)\b"
    r"[^.!?\n]{0,40}\b(?:its|his|her|their)\b",
    re.IGNORECASE,
)
"""Somebody did so with instructions of his own."""
OBJECT_BEFORE = re.compile(
    r"\b(?:my|our|his|her|their|the|that|this)\s(?:\w+\s){0,2}"
    r"(?:e-?mails?|mails?|letters?|invoices?"
    r"|offers?|memos?|notes?|drafts?|voicemails?|slides?|version|message|order|post|call)"
    r",\s(?:the|its|all|those)\b",
    re.IGNORECASE,
)
"""`Ignore my previous mail, the instructions in it are old`: what is to be ignored is the mail."""
AT_A_DEVICE = re.compile(
    r"[ \t]+(?:on|of|in|at) (?:(?:the|this|that) (?:\w+ )?(?:panel|screen|printer|machine|router"
    r"|linter|device|terminal|shell|console|dashboard|camera|oven|heating|boiler|car"
    r"|compiler|phone)"
    r"|your (?:\w+ )?(?:printer|router|camera|oven|heating|boiler|car|phone))\b",
    re.IGNORECASE,
)
"""A model has a screen too, as far as it knows."""
MODELS_OWN = re.compile(
    r"\b(?:previous|prior|above|earlier|preceding|foregoing|all|any|every|your|ur)\b",
    re.IGNORECASE,
)
"""Which no device shows: `all previous instructions on the screen`."""
THINGS = re.compile(
    "操作|说明|說明|安装|使用|手册|組み立て|取扱|指示書|手順|매뉴얼|설명서|메일"
    "|договор|инструкци[ию] (?:по|к) "
)
"""What instructions are for, in languages that say it before or within the phrase."""


def is_of_others(text: str, span: Span, *, asks: bool = False) -> bool:
    """Whether the phrase at that place is cut by a sentence's end, or says whose it is.

    `asks`: for something; to be told never to give it away is what prompts and advice say.
    """
    start, end = span
    is_forbidden = FORBIDDEN.search(text, max(start - LEAD_CHARS, 0), start) is not None
    if asks and is_forbidden and _is_kept(text, start, end):
        return True
    if SOMEBODY.search(text, max(start - TOLD_OF_CHARS, 0), start):
        return True
    if TOLD_OF_IT.match(text, start, end):
        return True
    if OBJECT_BEFORE.search(text, start, end):
        return True
    if AT_A_DEVICE.match(text, end) and not MODELS_OWN.search(text, start, end):
        return True
    meant = YOURS if asks else MEANT
    if not meant.search(text, start, end) and (
        OF_OTHERS.match(text, end) or THINGS.search(text, start, end + AFTER_CHARS)
    ):
        return True
    return any(
        _is_told(text[start : cut.start()])
        and _are_words(text[cut.end() : end])
        and GOES_ON.match(text, end) is not None
        for cut in SENTENCE_CUT.finditer(text, start, end)
    )


def _is_kept(text: str, start: int, end: int) -> bool:
    """Whether it is the reader's own, or the prompt, that he is told never to give away."""
    return bool(READERS_OWN.search(text, start, end) or THE_PROMPT.match(text, start, end))


def _is_told(text: str) -> bool:
    """Whether it has words enough, and names what it is about before its end."""
    return _are_words(text) and not POINTS_ON.search(text)


def _are_words(text: str) -> bool:
    return len(text.split()) >= LEAST_WORDS
