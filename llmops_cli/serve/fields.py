"""What each field of a body is to the gateway: text, a limit, a cost, or nothing that it minds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec


class Carries(StrEnum):
    """NOTHING: it passes unread, no part of it reaches the model as text.

    TEXT: every string in it reaches the model. MESSAGES: the same, and its items say whose text
    they are. WORD: one of a server's own; what is no short word is text. LIMIT: the most tokens of
    one answer. ANSWERS: how many answers there are. MORE:
    tokens beside the limit, or what decides about them. CONTEXT: it stands for text that somebody
    else keeps. REFUSED: nobody may send it.
    """

    NOTHING = "nothing"
    TEXT = "text"
    MESSAGES = "messages"
    WORD = "word"
    LIMIT = "limit"
    ANSWERS = "answers"
    MORE = "more"
    CONTEXT = "context"
    REFUSED = "refused"


READ = (Carries.TEXT, Carries.MESSAGES)
"""What the guard, a rule on private data and the count of tokens read."""
CHOICES = (Carries.WORD, Carries.MORE)
"""Numbers and a server's own words; it may not mind what else is said there."""


class Field(msgspec.Struct, frozen=True):
    """`role`: whose text it is, where nothing in it says so. `reason`: why it is refused.

    `is_whole`: it is a whole number, also written as 5.0. `has_media`: parts of it may be images
    and the like; elsewhere data is what a template writes as it stands.
    """

    carries: Carries
    role: str = "user"
    reason: str = ""
    is_whole: bool = False
    has_media: bool = False


FieldTable = Mapping[str, Field]
PASSED = Field(Carries.NOTHING)
FURTHER = Field(Carries.TEXT)
"""A field that only the file allows: nobody here knows what a server makes of it."""


def passed(names: str) -> dict[str, Field]:
    """`names` with spaces between them."""
    return _all(names.split(), PASSED)


def words(names: str) -> dict[str, Field]:
    return _all(names.split(), Field(Carries.WORD))


def whole(names: str) -> dict[str, Field]:
    """Numbers that pass unread."""
    return _all(names.split(), Field(Carries.NOTHING, is_whole=True))


def text(
    names: str,
    *,
    role: str = "user",
    media: bool = False,
) -> dict[str, Field]:
    return _all(names.split(), Field(Carries.TEXT, role, has_media=media))


def messages(name: str) -> dict[str, Field]:
    return {name: Field(Carries.MESSAGES, has_media=True)}


def limits(names: str) -> dict[str, Field]:
    return _all(names.split(), Field(Carries.LIMIT, is_whole=True))


def answers(names: str) -> dict[str, Field]:
    return _all(names.split(), Field(Carries.ANSWERS, is_whole=True))


def more(names: str) -> dict[str, Field]:
    return _all(names.split(), Field(Carries.MORE, is_whole=True))


def context(names: str) -> dict[str, Field]:
    return _all(names.split(), Field(Carries.CONTEXT))


def refused(names: str, *, reason: str) -> dict[str, Field]:
    return _all(names.split(), Field(Carries.REFUSED, reason=reason))


def limits_in(fields: FieldTable) -> tuple[str, ...]:
    """The fields that bound an answer's tokens."""
    return tuple(name for name, field in fields.items() if field.carries is Carries.LIMIT)


def _all(names: Iterable[str], field: Field) -> dict[str, Field]:
    return dict.fromkeys(names, field)
