"""Calls whose name and JSON arguments stand between marks that a model's template teaches.

DeepSeek, Kimi, Command R and Apertus write theirs so: `<calls><call>NAME<sep>{...}</call></calls>`.
"""

import json
import re
from typing import NamedTuple

from _shared.tools.tags import (
    KEY,
    NAME,
    OTHER_NAME,
    SAID,
    VALUE,
    Frame,
    Message,
    Render,
    call,
    calling,
    conversation,
)
from _shared.tools.values import ValueScanner

ARGUMENTS = {KEY: VALUE}
NUMBERS_OR_SPACE = re.compile(r"[\s\d]+")
TAG_BEGINS = ("<", "[")


class CallFrame(NamedTuple):
    """What stands around the parts of calls.

    `start` `opening` NAME `separator` JSON `closing`, for each further call `join` `opening` NAME
    ... `closing`, then `end`. Numbers in them count calls. `has_several`: calls can stand together.
    """

    start: str
    opening: str
    separator: str
    closing: str
    join: str
    end: str
    has_several: bool

    @property
    def first(self) -> str:
        return self.start + self.opening

    @property
    def anchor(self) -> str:
        """How the first call begins, as far as nothing may stand between."""
        return self.first.split(maxsplit=1)[0]


class WrittenCall(NamedTuple):
    """The text of one call in parts."""

    before: str
    separator: str
    after: str


def frame_of(render: Render) -> CallFrame | None:
    """None if calls are written otherwise. `render`: messages as the template's whole text."""
    plain = [call(NAME, ARGUMENTS), call(OTHER_NAME, ARGUMENTS)]
    numbered = [numbered_call(NAME, 0), numbered_call(OTHER_NAME, 1)]
    for first, second in (plain, numbered):
        try:
            found = _frame_of(render, first, second)
        except ValueError:
            continue
        if found.anchor.startswith(TAG_BEGINS):
            return found
    return None


def numbered_call(name: str, number: int) -> Message:
    """Kimi's template writes a call's id where others write its name."""
    function = {"name": name, "arguments": ARGUMENTS}
    return {"id": f"functions.{name}:{number}", "type": "function", "function": function}


def _frame_of(render: Render, first: Message, second: Message) -> CallFrame:
    """Raises: ValueError."""
    said = render(conversation({"content": SAID}))
    one = render(calling([first]))
    frame = with_whole_tags(Frame.of(said, one))
    alone = written_call(frame.within(one), NAME)
    opening = alone.before.lstrip()
    closing = alone.after
    try:
        both = frame.within(render(calling([first, second])))
        between, _, _ = written_call(both, NAME).after.partition(OTHER_NAME)
        has_several = OTHER_NAME in both
    except ValueError:
        has_several = False
    if not opening.strip():
        raise ValueError("nothing marks a call")
    if not has_several:
        return CallFrame("", opening, alone.separator, closing, "", "", has_several=False)
    own = shared_end(opening, between)
    while is_in_tag(opening[: len(opening) - own]):
        own -= 1
    ending = shared_start(closing, between[: len(between) - own])
    while is_in_tag(closing[:ending]):
        ending -= 1
    return CallFrame(
        start=opening[: len(opening) - own],
        opening=opening[len(opening) - own :],
        separator=alone.separator,
        closing=closing[:ending],
        join=between[ending : len(between) - own],
        end=closing[ending:],
        has_several=True,
    )


def is_in_tag(before: str) -> bool:
    """Whether a tag is open where this text ends."""
    return before.rfind("<") > before.rfind(">")


def with_whole_tags(frame: Frame) -> Frame:
    """Two tags may begin or end alike: what is said lies around them, not within."""
    before = frame.before
    after = frame.after
    if is_in_tag(before):
        before = before[: before.rfind("<")]
    tag_end = after.find(">")
    if tag_end >= 0 and "<" not in after[:tag_end]:
        after = after[tag_end + 1 :]
    return Frame(before, after)


def written_call(text: str, name: str) -> WrittenCall:
    """Raises: ValueError if name and arguments do not stand there in that order, as JSON."""
    before, found, rest = text.partition(name)
    place = rest.find("{")
    if not found or place < 0:
        raise ValueError("no call with JSON")
    scanner = ValueScanner()
    length = scanner.feed(rest[place:])
    if not scanner.is_done or json.loads(rest[place : place + length]) != ARGUMENTS:
        raise ValueError("the arguments are written otherwise")
    return WrittenCall(before, rest[:place], rest[place + length :])


def shared_end(text: str, other: str) -> int:
    """Length of the longest common end, digits of both taken as equal."""
    left = _plain_numbers(text)
    right = _plain_numbers(other)
    most = min(len(left), len(right))
    return next((n for n in range(most) if left[-1 - n] != right[-1 - n]), most)


def shared_start(text: str, other: str) -> int:
    """Length of the longest common start."""
    most = min(len(text), len(other))
    return next((n for n in range(most) if text[n] != other[n]), most)


def _plain_numbers(text: str) -> str:
    return re.sub(r"\d", "0", text)


def pattern_of(mark: str) -> str:
    """Any space where it has some or a line ends, any number where it has one."""
    pieces = re.split(r"(\s+|\d+)", mark)
    return "".join(map(_piece_pattern, pieces))


def _piece_pattern(piece: str) -> str:
    if piece.isdigit():
        return r"\d+"
    if piece and piece.isspace():
        return r"\s*"
    return re.escape(piece)


def may_become(text: str, mark: str) -> bool:
    """Whether more text can make it begin as the mark does."""
    read = NUMBERS_OR_SPACE.sub("", text)
    wanted = NUMBERS_OR_SPACE.sub("", mark)
    return wanted.startswith(read) or read.startswith(wanted)
