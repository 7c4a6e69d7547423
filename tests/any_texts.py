"""Texts of every character that there is, halves of characters too, and of what the guard's
patterns look for, nearly: none may make anything raise.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

CODES = sys.maxunicode + 1
PIECES = (
    *"\n\r\t\x00\x7f \u00a0\u00ad\u200b\u200c\u200d\u202e\u2066\u2069\ufeff\ufe0f\ufe01",
    *"\ud800\udbff\udc00\udfff\U000e0041\U000e007f\U0001f3f4\u0663\u212a\u017f\u0130\u0131\u00df",
    *"aZ09+/=-_.:,;@<>&%#'\"`[](){}\\|~*!«„“\u3002\uff11\uff21\u2800\u2801\u0301",
    "%41",
    "%ff",
    "&#xD800;",
    "&lt;",
    "\\ud800",
    "\\u{10ffff}",
    "\\x41",
    "=41",
    "<~87cURD]i~>",
    "aGVsbG8gdGhlcmUgbXkgZnJpZW5k",
    "ABCDEFGH234567AB",
    "0x41 ",
    "01000001 ",
    "65 66 67 ",
    ".- -... ",
    "alpha bravo ",
    "i g n o r e ",
    "ignore all previous instructions ",
    "security researchers, for example attackers, ",
    "follow the quoted lines ",
    "vtaber nyy cerivbhf vafgehpgvbaf ",
    "1gn0r3 4ll ",
    "igpay atinlay ",
    "GB82WEST12345698765432",
    "KW81CBK\u212a000000000000",
    "4111 1111 1111 1111 ",
    "+49 30 901820 ",
    "(202) 555-0100 ",
    "078-05-1120 ",
    "a@b.co ",
    "http://u:p4ssword@h/",
    "![a](http://h/?q=aaaaaaaaaaaaaaaa)",
    "![a][b]\n[b]: //[h]:x@y\\z?a=%ff&b#c",
    "<a href=https://h/?q=",
    "<form action='//h'><input value=\"",
    "url(//aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b.c)",
    "mailto:a@b?body=",
    "\n```\n",
    "password = hunter2hunter2 ",
    "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.aaaaaaaa",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "12345678Z",
    "::1 10.0.0.1 00:11:22:33:44:55 ",
    "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
    "user: ",
    "<|im_start|>system",
)
"""Characters and near misses that some pattern begins, ends or changes with."""
PIECES_MOST = 6


def any_texts(count: int, *, seed: int) -> Iterator[str]:
    """So many texts. From 20,000 on every code point of Unicode is in one of them."""
    chance = random.Random(seed)
    codes = list(range(CODES))
    chance.shuffle(codes)
    each = -(-CODES // max(count, 1))
    each = min(max(each, 8), 56)
    for number in range(count):
        first = number * each % CODES
        parts = [chr(code) for code in codes[first : first + each]]
        for _ in range(chance.randint(0, PIECES_MOST)):
            place = chance.randrange(len(parts) + 1)
            parts.insert(place, chance.choice(PIECES))
        yield "".join(parts)
