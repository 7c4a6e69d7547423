"""JSON's own forms as grammar: texts, numbers, spaces, and any value."""

import json

from _shared.grammars.nodes import (
    CharSet,
    Choice,
    Literal,
    Node,
    OneOf,
    Repeat,
    Rule,
    Rules,
    Sequence,
    chars_of,
    optional,
    sequence,
    span,
)

ANY_VALUE = "any-value"
ANY_OBJECT = "any-object"
ANY_ARRAY = "any-array"

DIGIT = OneOf(CharSet([span("0", "9")]))
FIRST_DIGIT = OneOf(CharSet([span("1", "9")]))
HEX = OneOf(CharSet([span("0", "9"), span("a", "f"), span("A", "F")]))
HEX_BUT_D = OneOf(
    CharSet([span("0", "9"), span("a", "c"), span("A", "C"), *chars_of("efEF").ranges])
)
LOW_HALF = OneOf(CharSet([span("0", "7")]))

# No halves of UTF-16 pairs: two of them count as one character for a validator.
CODE = Choice(
    (
        sequence(HEX_BUT_D, HEX, HEX, HEX),
        sequence(OneOf(chars_of("dD")), LOW_HALF, HEX, HEX),
    )
)
ESCAPE = sequence(
    Literal("\\"),
    Choice((OneOf(chars_of('"\\/bfnrt')), sequence(Literal("u"), CODE))),
)
PLAIN_CHAR = OneOf(CharSet([(0, 31), span('"', '"'), span("\\", "\\")]).inverted())
TEXT_CHAR = Choice((PLAIN_CHAR, ESCAPE))

INTEGER = sequence(
    optional(Literal("-")),
    Choice((Literal("0"), sequence(FIRST_DIGIT, Repeat(DIGIT, 0, 14)))),
)
NUMBER = sequence(
    INTEGER,
    optional(sequence(Literal("."), Repeat(DIGIT, 1, 15))),
    optional(sequence(OneOf(chars_of("eE")), optional(OneOf(chars_of("+-"))), Repeat(DIGIT, 1, 2))),
)
BOOLEAN = Choice((Literal("true"), Literal("false")))
NULL = Literal("null")
SPACE = Choice(
    (
        Literal(""),
        Literal(" "),
        sequence(Repeat(Literal("\n"), 1, 2), Repeat(OneOf(chars_of(" \t")), 0, 20)),
    )
)


def text(least: int = 0, most: int | None = None) -> Node:
    return sequence(Literal('"'), Repeat(TEXT_CHAR, least, most), Literal('"'))


def quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def array_of(item: Node, least: int = 0, most: int | None = None) -> Node:
    """Items between brackets."""
    return sequence(Literal("["), SPACE, listed(item, least, most), SPACE, Literal("]"))


def listed(item: Node, least: int = 0, most: int | None = None) -> Node:
    """Items with commas between them."""
    if most == 0:
        return Literal("")
    following = sequence(Literal(","), SPACE, item)
    rest_most = None if most is None else most - 1
    whole = sequence(item, Repeat(following, max(0, least - 1), rest_most))
    return whole if least else optional(whole)


def pair(key: Node, value: Node) -> Node:
    return sequence(key, Literal(":"), SPACE, value)


def object_of(members: Node) -> Node:
    return sequence(Literal("{"), SPACE, members, SPACE, Literal("}"))


def any_value_rules() -> Rules:
    value = Rule(ANY_VALUE)
    member = pair(text(), value)
    return {
        ANY_VALUE: Choice((Rule(ANY_OBJECT), Rule(ANY_ARRAY), text(), NUMBER, BOOLEAN, NULL)),
        ANY_OBJECT: object_of(listed(member)),
        ANY_ARRAY: array_of(value),
    }


# What `format` means where people rely on it; other formats are notes, as JSON Schema has it.
YEAR = Repeat(DIGIT, 4, 4)
MONTH = Choice((sequence(Literal("0"), FIRST_DIGIT), Literal("10"), Literal("11"), Literal("12")))
DAY = Choice(
    (
        sequence(Literal("0"), FIRST_DIGIT),
        sequence(Literal("1"), DIGIT),
        sequence(Literal("2"), OneOf(CharSet([span("0", "8")]))),
    )
)
"""To the 28th: every month has it."""
SIXTY = sequence(OneOf(CharSet([span("0", "5")])), DIGIT)
HOUR = Choice(
    (
        sequence(OneOf(chars_of("01")), DIGIT),
        sequence(Literal("2"), OneOf(chars_of("0123"))),
    )
)
OFFSET = Choice((Literal("Z"), sequence(OneOf(chars_of("+-")), HOUR, Literal(":"), SIXTY)))
DATE = sequence(YEAR, Literal("-"), MONTH, Literal("-"), DAY)
TIME = sequence(
    HOUR,
    Literal(":"),
    SIXTY,
    Literal(":"),
    SIXTY,
    optional(sequence(Literal("."), Repeat(DIGIT, 3, 3))),
    OFFSET,
)
BYTE = Choice(
    (
        DIGIT,
        sequence(FIRST_DIGIT, DIGIT),
        sequence(Literal("1"), DIGIT, DIGIT),
        sequence(Literal("2"), OneOf(CharSet([span("0", "4")])), DIGIT),
        sequence(Literal("25"), OneOf(CharSet([span("0", "5")]))),
    )
)
LOWER = OneOf(CharSet([span("a", "z"), span("0", "9")]))
WORD = Repeat(LOWER, 1, 32)
FORMATS: dict[str, Node] = {
    "date": DATE,
    "time": TIME,
    "date-time": sequence(DATE, Literal("T"), TIME),
    "ipv4": sequence(BYTE, Repeat(sequence(Literal("."), BYTE), 3, 3)),
    "email": sequence(WORD, Literal("@"), WORD, Repeat(sequence(Literal("."), WORD), 1, 3)),
    "uuid": Sequence(
        (
            Repeat(HEX, 8, 8),
            Repeat(sequence(Literal("-"), Repeat(HEX, 4, 4)), 3, 3),
            Literal("-"),
            Repeat(HEX, 12, 12),
        )
    ),
}
