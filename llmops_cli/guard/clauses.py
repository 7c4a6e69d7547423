"""A text as clauses: words, with a sign for each mail address, address, account, sum, secret path.

Orders are told by their place: a verb that begins a clause orders, the same verb after `we` does
not. Every pattern is bounded, so that no text takes more than time in proportion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from llmops_cli.guard.skeleton import TABLE, CharTable

END = "\x1f"
"""Ends a clause; a dot of its own among the words."""
BOUNDARY = re.compile(
    r"[.!?;:]{1,4}(?=[\s\"'”’)\]*<]|\Z)|[。！？；：]"  # noqa: RUF001
    r"|\s[-–—]{1,3}\s"  # noqa: RUF001
    r"|[(\[](?=(?i:ai|llm|note|hint|assistant|agent|model|bot)\b)"
    r"|\n(?=\s{0,12}[^\sa-z\u0430-\u044f]|[^\n]{0,30}\n[^\n]{1,30}\n)|(?<=[;{}(),=\\])\n"
    r"|[<>{}|\[\]\"“”«»「」]|'(?=\s{0,4}[,:}\]])|[,:(]\s{0,4}'"
    r"|/\*|\*/|\s//|\s#(?=\s)"
)
"""Also where a cell, a tag, a string or a comment begins or ends.

A line that is followed by a small letter goes on, short ones do not: they are code or a list.
"""
MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[a-zA-Z0-9-]{1,63}(?:\.[a-zA-Z0-9-]{1,63}){1,4}")
URL = re.compile(r"(?:https?://|\bwww\.)[^\s\"'<>`|]{1,2000}", re.IGNORECASE)
SUM = re.compile(
    r"[$€£¥] ?\d[\d.,]*"
    r"|\b\d[\d.,]{0,12} ?(?:USD|EUR|GBP|CHF|[Dd]ollars?|[Ee]uros?|BTC|ETH|[Bb]itcoins?)\b"
)
ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}\b|\+\d[\d ()-]{7,18}\d")
PUBLIC_KEY = re.compile(r"(?<![\w~./\\-])[\w~./\\-]{0,120}\.pub\b")
SECRET_PATH = re.compile(
    r"(?<![\w./~-])[~/.][\w./~-]{0,120}?"
    r"(?:\.ssh/|\.aws/|id_rsa|id_ed25519|credentials|/shadow|/passwd|mcp\.json)[\w./-]{0,40}"
    r"|(?<![\w/.])\.env\b"
)
SUMS = ("$", "€", "£", "¥", "USD", "EUR", "GBP", "CHF", "ollar", "uro", "BTC", "ETH", "itcoin")
PATHS = (".ssh", ".aws", "id_", "credentials", "shadow", "passwd", "mcp.json", ".env")
SIGNS = (
    ("xmail", MAIL, ("@",)),
    ("xurl", URL, ("http", "HTTP", "Http", "www.", "WWW.")),
    ("moneysum", SUM, SUMS),
    ("xacct", ACCOUNT, tuple("0123456789")),
    ("xpub", PUBLIC_KEY, (".pub",)),
    ("secretpath", SECRET_PATH, PATHS),
)
"""(sign, what it stands for, what must be in the text for that)."""
COMMAS = ",，、"  # noqa: RUF001
QUOTE = re.compile(
    r"(?<=\w )(?:[\"“«]([^\"“”«»\n]{2,300})[\"”»]"
    r"|'([^'\n]{2,300})'|‘([^‘’\n]{2,300})’)"  # noqa: RUF001
    r"(?=[\s.,;:!?)]|\Z)"
)
"""Words quoted within a clause: one thing in it, and clauses of their own."""
HIDDEN = re.compile(
    r"<[a-z]{1,12}\s[^<>]{0,300}?(?:display:\s{0,4}none|visibility:\s{0,4}hidden"
    r"|font-size:\s{0,4}0|opacity:\s{0,4}0(?![.\d])|color:\s{0,4}(?:white|#fff)"
    r"|aria-hidden=.true|\bhidden\b)[^<>]{0,300}>([^<]{1,4000})"
    r"|\b(?:alt|title|aria-label|content)=\"([^\"]{1,2000})\"",
    re.IGNORECASE,
)
COMMENT = ("<!--", "-->")
MOST_CHARS = 400
"""Of a clause: what goes on for longer is no sentence."""
ESCAPED = re.compile(r"\\[nrt\"'/]")


class Clause(msgspec.Struct, frozen=True):
    """`words` begin and end with a dot; `span` is its place in the text."""

    words: str
    span: tuple[int, int]


def _table() -> CharTable:
    table = CharTable(TABLE)
    table[ord(END)] = " . "
    for comma in COMMAS:
        table[ord(comma)] = " , "
    return table


WORDS = _table()


def clause_words(text: str) -> str:
    """All clauses in one line, a dot between."""
    plain = ESCAPED.sub("\n ", text)
    quoted = [found[found.lastindex or 0] for found in QUOTE.finditer(plain)]
    outer = QUOTE.sub(" xquote ", plain) if quoted else plain
    return f" . {_words(END.join([outer, *quoted]))} . "


def clauses_of(text: str) -> Iterator[Clause]:
    """One by one, with their places; what is quoted within one comes after it."""
    plain = ESCAPED.sub("\n ", text)
    quotes = list(QUOTE.finditer(plain))
    blanked = _blanked(QUOTE.sub(_blank, plain))
    waiting = 0
    start = 0
    for end, after in [*(found.span() for found in BOUNDARY.finditer(blanked)), (len(plain),) * 2]:
        yield from _clause(plain, start, end)
        while waiting < len(quotes) and quotes[waiting].end() <= end:
            first, last = quotes[waiting].span(quotes[waiting].lastindex or 0)
            yield from clauses_of_quote(plain, first, last)
            waiting += 1
        start = after


def clauses_of_quote(text: str, first: int, last: int) -> Iterator[Clause]:
    start = first
    for found in BOUNDARY.finditer(text, first, last):
        yield from _clause(text, start, found.start())
        start = found.end()
    yield from _clause(text, start, last)


def hidden_places(text: str) -> list[tuple[int, int]]:
    """Where a page has words that its readers do not see."""
    if "<" not in text:
        return []
    found = [match.span(match.lastindex or 0) for match in HIDDEN.finditer(text)]
    begin, finish = COMMENT
    start = text.find(begin)
    while start >= 0:
        end = text.find(finish, start)
        if end < 0:
            end = len(text)
        found.append((start, end))
        start = text.find(begin, end)
    return found


def _clause(
    text: str,
    start: int,
    end: int,
) -> Iterator[Clause]:
    for first in range(start, end, MOST_CHARS):
        last = min(first + MOST_CHARS, end)
        words = _words(QUOTE.sub(" xquote ", text[first:last]))
        if words.strip(" .,"):
            yield Clause(f" . {words} . ", (first, last))


def _words(text: str) -> str:
    marked = BOUNDARY.sub(END, _signed(text))
    if not marked.isascii():
        marked = marked.lower()
    return " ".join(marked.translate(WORDS).split())


def _signed(text: str) -> str:
    """With a sign for each address, sum and path."""
    for sign, pattern, needed in SIGNS:
        if any(part in text for part in needed):
            text = pattern.sub(f" {sign} ", text)
    return text


def _blanked(text: str) -> str:
    """The same places, without the dots and colons of addresses."""
    for _, pattern, needed in SIGNS:
        if any(part in text for part in needed):
            text = pattern.sub(_blank, text)
    return text


def _blank(found: re.Match[str]) -> str:
    return "x" * len(found[0])
