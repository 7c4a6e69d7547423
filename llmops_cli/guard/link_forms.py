"""Addresses in a text that a client would load by itself or a person could follow.

Markdown, HTML, CSS and plain addresses; what stands in code is neither loaded nor followed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from llmops_cli.guard.code_spans import without_code

Span = tuple[int, int]

URL_MOST = 4096
LOOSE = re.compile(r"(?i)//|\\\\|www\.|mailto:|sms:|https?:|&#|&sol;|&colon;")
"""Without any of these there is no address that leads away."""
LABEL = r"(?:[^\[\]]|\[[^\[\]]{0,200}\]){0,400}"
TARGET = rf"(?:<([^<>\n]{{1,{URL_MOST}}})>|((?:[^()\s<>]|\([^()\s<>]{{0,500}}\)){{1,{URL_MOST}}}))"
INLINE = re.compile(rf"(!\[{LABEL})?\]\(\s{{0,4}}{TARGET}")
DEFINITION = re.compile(
    r"(?m)^[ >\t]{0,8}\[([^\[\]\n]{1,200})\]:\s{0,4}"
    rf"(?:<([^<>\n]{{1,{URL_MOST}}})>|(\S{{1,{URL_MOST}}}))"
)
USED_IMAGE = re.compile(rf"!\[({LABEL})\](?:\[([^\[\]]{{0,200}})\])?")
TAG = re.compile(r"<([A-Za-z][\w:-]{0,20})")
ATTRIBUTE = re.compile(
    r"[\s/\"']*([^\s\"'<>/=]{1,40})"
    rf"(?:\s{{0,4}}=\s{{0,4}}(\"[^\"]{{0,{2 * URL_MOST}}}\"?|'[^']{{0,{2 * URL_MOST}}}'?"
    rf"|[^\s\"'>]{{1,{URL_MOST}}}))?"
)
ATTRIBUTES_MOST = 40
FOLLOWED = frozenset(["a", "area", "form", "button", "input", "base"])
"""Elements whose address is used once somebody acts."""
ADDRESSES = frozenset(
    [
        *("src", "href", "xlink:href", "data", "poster", "background", "ping", "action"),
        *("formaction", "cite", "longdesc", "manifest", "codebase", "dynsrc", "lowsrc", "icon"),
    ]
)
SETS = frozenset(["srcset", "imagesrcset"])
REFRESH = re.compile(r"(?i)url\s{0,4}=\s{0,4}[\"']?([^\"']+)")
CSS = re.compile(
    rf"(?i)url\(\s{{0,4}}[\"']?([^\"')\s]{{3,{URL_MOST}}})"
    rf"|@import\s{{1,4}}[\"']([^\"'\n]{{3,{URL_MOST}}})"
)
PLAIN = re.compile(
    r"(?i)(?<![\w@.])(?:(?:https?|ftp|wss?):[/\\]{1,4}|www\.|mailto:|sms:)"
    rf"[^\s<>\"'`|]{{1,{URL_MOST}}}"
)
TRAILING = ".,;:!?*_~)]}\\"
FORM_END = re.compile(r"(?i)</?form")
FORM_MOST = 20_000
BUTTONS = frozenset(["submit", "button", "reset", "image", "checkbox", "radio"])


class Link(msgspec.Struct, frozen=True):
    """`loads`: a client asks for it by itself. `span` is where it stands in the text."""

    url: str
    span: Span
    loads: bool


def links_in(text: str) -> list[Link]:
    """Each place once, what a client loads first. Linear in the text."""
    if not LOOSE.search(text):
        return []
    found = list(_all_of(without_code(text)))
    found.sort(key=_place)
    kept: list[Link] = []
    for link in found:
        is_inside = kept and link.span[1] <= kept[-1].span[1]
        if link.loads or not is_inside:
            kept.append(link)
    return kept


def _all_of(text: str) -> Iterator[Link]:
    if "<" in text:
        yield from _of_html(text)
    for match in CSS.finditer(text):
        number = 1 if match[1] else 2
        yield _link(match[number], match.span(number), loads=True)
    if "](" in text:
        for match in INLINE.finditer(text):
            number = 2 if match[2] else 3
            yield _link(match[number], match.span(number), loads=match[1] is not None)
    if "]:" in text:
        yield from _of_definitions(text)
    for match in PLAIN.finditer(text):
        plain = match[0].rstrip(TRAILING)
        yield _link(plain, (match.start(), match.start() + len(plain)), loads=False)


def _link(written: str, span: Span, *, loads: bool) -> Link:
    return Link(html.unescape(written), span, loads)


def _place(link: Link) -> tuple[int, int, bool]:
    return link.span[0], -link.span[1], not link.loads


def image_names(text: str) -> set[str]:
    """Names of images whose address may stand elsewhere."""
    return {_name(match[2] or match[1]) for match in USED_IMAGE.finditer(text)}


def _of_definitions(text: str) -> Iterator[Link]:
    """`[name]: address`, loaded where an image has that name."""
    images = image_names(text)
    for match in DEFINITION.finditer(text):
        number = 2 if match[2] else 3
        yield _link(match[number], match.span(number), loads=_name(match[1]) in images)


def _name(label: str) -> str:
    return " ".join(label.split()).casefold()


def _of_html(text: str) -> Iterator[Link]:
    for tag in TAG.finditer(text):
        name = tag[1].lower()
        attributes = _attributes(text, tag.end())
        loads = name not in FOLLOWED
        if name == "form" and "action" in attributes:
            yield _of_form(text, tag.end(), attributes["action"])
            continue
        for key, (value, span) in attributes.items():
            for url in _urls_of(key, value):
                yield _link(url, span, loads=loads)


def _urls_of(key: str, value: str) -> Iterator[str]:
    """The addresses that an attribute's value names."""
    if key in ADDRESSES:
        yield value
    elif key in SETS:
        for part in value.split(","):
            yield part.strip().partition(" ")[0]
    elif key == "content":
        refresh = REFRESH.search(value)
        if refresh:
            yield refresh[1]


def _attributes(text: str, start: int) -> dict[str, tuple[str, Span]]:
    """An element's attributes, with the places of their values."""
    found: dict[str, tuple[str, Span]] = {}
    position = start
    for _ in range(ATTRIBUTES_MOST):
        match = ATTRIBUTE.match(text, position)
        if match is None:
            break
        position = match.end()
        if match[2]:
            found.setdefault(match[1].lower(), (match[2].strip("\"'"), match.span(2)))
    return found


def _of_form(
    text: str,
    start: int,
    action: tuple[str, Span],
) -> Link:
    """What a form would send as it is filled in, as an address.

    Nobody typed these values: they have to explain themselves as those that a client loads.
    """
    end = FORM_END.search(text, start, start + FORM_MOST)
    last = end.start() if end else start + FORM_MOST
    fields = []
    for tag in TAG.finditer(text, start, last):
        attributes = _attributes(text, tag.end())
        value = attributes.get("value", ("", (0, 0)))[0]
        kind = attributes.get("type", ("text", (0, 0)))[0].lower()
        if tag[1].lower() == "input" and value and kind not in BUTTONS:
            name = attributes.get("name", ("", (0, 0)))[0]
            fields.append(f"{name}={quote(html.unescape(value))}")
    where, span = action
    sign = "&" if "?" in where else "?"
    url = f"{where}{sign}{'&'.join(fields)}" if fields else where
    return _link(url, span, loads=bool(fields))
