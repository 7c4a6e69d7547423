"""Calls whose arguments stand between tags of their own, as a model's chat template writes them.

What the tags are is learned from the template: it renders calls whose names and values are known.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

NAME = "probe_tool"
OTHER_NAME = "second_tool"
KEY = "first_key"
OTHER_KEY = "other_key"
VALUE = "probe value"
OTHER_VALUE = 7
ODD_VALUE = 'a "b" <c> & d\ne'
END_OF_TURN = re.compile(r"(?<=>)\s*<[^/][^<>]*>\s*$")
"""A call ends with a closing tag; what else stands there ends the assistant's turn."""
SAID = "Probe said."

# Any: a message as templates take it.
Message = dict[str, Any]
Render = Callable[[list[Message]], str]


class Tags(NamedTuple):
    """What stands around the parts of a call.

    A call without arguments is `opening` NAME `empty`; one with some is `opening` NAME `first` KEY
    `equals` VALUE, then `next` KEY `equals` VALUE for each further one, and `last`. `between` and
    `between_empty` stand where another call's name follows a value, or a name; None where calls
    cannot stand together.
    """

    opening: str
    first: str
    equals: str
    next: str
    last: str
    empty: str
    between: str | None
    between_empty: str | None

    @property
    def anchor(self) -> str:
        """How a call begins, as far as nothing may stand between."""
        return self.opening.split("\n", maxsplit=1)[0]


def tags_of(render: Render) -> Tags | None:
    """None if calls are written otherwise. `render`: messages as the template's whole text."""
    try:
        said = render(conversation({"content": SAID}))
        one = render(calling([call(NAME, {KEY: VALUE})]))
        frame = Frame.of(said, one)
        none = frame.within(render(calling([call(NAME, {})])))
        two = frame.within(render(calling([call(NAME, {KEY: VALUE, OTHER_KEY: OTHER_VALUE})])))
        odd = frame.within(render(calling([call(NAME, {KEY: ODD_VALUE})])))
    except ValueError:
        return None
    opening, rest = split(frame.within(one), NAME)
    first, rest = split(rest, KEY)
    equals, last = split(rest, VALUE)
    _, rest = split(two, VALUE)
    following, rest = split(rest, OTHER_KEY)
    equals_again, last_again = split(rest, str(OTHER_VALUE))
    _, empty = split(none, NAME)
    is_same = equals_again == equals and last_again == last
    is_verbatim = equals + ODD_VALUE + last in odd
    if not is_same or not is_verbatim or not are_tags(opening, equals, last):
        return None
    return Tags(
        opening=opening.lstrip(),
        first=first,
        equals=equals,
        next=following,
        last=END_OF_TURN.sub("", last),
        empty=END_OF_TURN.sub("", empty),
        between=between(frame, render, {KEY: VALUE}, VALUE),
        between_empty=between(frame, render, {}, NAME),
    )


def has_bare_keys(render: Render) -> bool:
    """The template writes a call's arguments, and not as JSON."""
    try:
        said = render(conversation({"content": SAID}))
        one = render(calling([call(NAME, {KEY: VALUE})]))
        text = Frame.of(said, one).within(one)
    except ValueError:
        return False
    return KEY in text.replace(f'"{KEY}"', "")


class Frame(NamedTuple):
    """What stands before and after whatever the assistant says."""

    before: str
    after: str

    @classmethod
    def of(cls, first: str, second: str) -> "Frame":
        """By two texts that differ in nothing else."""
        start = 0
        while start < min(len(first), len(second)) and first[start] == second[start]:
            start += 1
        room = min(len(first), len(second)) - start
        end = 0
        while end < room and first[-1 - end] == second[-1 - end]:
            end += 1
        return cls(first[:start], first[len(first) - end :])

    def within(self, text: str) -> str:
        """Raises: ValueError if it stands otherwise."""
        if not text.startswith(self.before) or not text.endswith(self.after):
            raise ValueError("the template writes this conversation otherwise")
        return text[len(self.before) : len(text) - len(self.after)]


def are_tags(opening: str, equals: str, last: str) -> bool:
    """A value stands between tags, and neither name nor key is written twice."""
    marks = (opening, equals, last)
    if not opening.strip():
        return False
    is_once = not any(each in mark for mark in marks for each in (NAME, KEY))
    return is_once and equals.rstrip().endswith(">") and last.lstrip().startswith("<")


def between(
    frame: Frame,
    render: Render,
    arguments: dict[str, Any],
    before: str,
) -> str | None:
    """What stands between two calls in one answer."""
    try:
        text = frame.within(render(calling([call(NAME, arguments), call(OTHER_NAME, {})])))
    except ValueError:
        return None
    _, rest = split(text, before)
    found, _ = split(rest, OTHER_NAME)
    return found if OTHER_NAME in rest else None


def split(text: str, at: str) -> tuple[str, str]:
    before, _, after = text.partition(at)
    return before, after


def conversation(answer: Message) -> list[Message]:
    return [{"role": "user", "content": "?"}, {"role": "assistant", **answer}]


def calling(calls: list[Message]) -> list[Message]:
    return conversation({"content": "", "tool_calls": calls})


def call(name: str, arguments: dict[str, Any]) -> Message:
    function = {"name": name, "arguments": arguments}
    return {"id": "abcdefghi", "type": "function", "function": function}


def probe_tools() -> list[Message]:
    """Tools for the template to know of while it is asked."""
    properties = {KEY: {"type": "string"}, OTHER_KEY: {"type": "integer"}}
    parameters = {"type": "object", "properties": properties}
    return [
        {
            "type": "function",
            "function": {"name": name, "description": "A probe.", "parameters": parameters},
        }
        for name in (NAME, OTHER_NAME)
    ]
