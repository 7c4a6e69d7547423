"""Texts and numbers of a schema."""

from _shared.grammars.bounds import BoundedNumber
from _shared.grammars.json_text import FORMATS, INTEGER, NUMBER, text
from _shared.grammars.merging import Schema
from _shared.grammars.nodes import Counted, Literal, Node, Unsatisfiable, sequence
from _shared.grammars.patterns import Pattern
from _shared.grammars.texts import WRITABLE, PatternText
from _shared.grammars.values import OF_NUMBERS, bounds_of


def text_node(schema: Schema) -> Node:
    least = schema.get("minLength", 0)
    most = schema.get("maxLength")
    if most is not None and most < least:
        raise Unsatisfiable("minLength is above maxLength")
    if "pattern" in schema:
        pattern = Pattern(schema["pattern"], writable=WRITABLE)
        return Counted(PatternText(pattern, least=least, most=most))
    form = FORMATS.get(schema.get("format", ""))
    if form is not None and not least and most is None:
        return sequence(Literal('"'), form, Literal('"'))
    return text(least, most)


def number_node(schema: Schema, *, is_integer: bool) -> Node:
    if not any(key in schema for key in OF_NUMBERS):
        return INTEGER if is_integer else NUMBER
    return Counted(BoundedNumber(bounds_of(schema, is_integer=is_integer)))
