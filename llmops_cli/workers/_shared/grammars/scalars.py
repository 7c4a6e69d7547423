"""Texts and numbers of a schema."""

from _shared.grammars.bounds import BoundedNumber
from _shared.grammars.formats import pattern_of
from _shared.grammars.json_text import FORMATS, INTEGER, NUMBER, text
from _shared.grammars.merging import Schema
from _shared.grammars.nodes import Counted, GrammarError, Literal, Node, Unsatisfiable, sequence
from _shared.grammars.patterns import Pattern
from _shared.grammars.texts import WRITABLE, PatternText
from _shared.grammars.values import OF_NUMBERS, bounds_of


def text_node(schema: Schema) -> Node:
    least = schema.get("minLength", 0)
    most = schema.get("maxLength")
    if most is not None and most < least:
        raise Unsatisfiable("minLength is above maxLength")
    if "pattern" in schema:
        if _form_of(schema) is not None:
            raise GrammarError(f"format: {schema['format']} beside pattern is not supported")
        pattern = Pattern(schema["pattern"], writable=WRITABLE)
        return Counted(PatternText(pattern, least=least, most=most))
    form = _form_of(schema)
    if form is None:
        return text(least, most)
    is_bounded = least > 0 or most is not None
    if is_bounded:
        pattern = pattern_of(schema["format"])
        return Counted(PatternText(pattern, least=least, most=most))
    quote = Literal('"')
    return sequence(quote, form, quote)


def _form_of(schema: Schema) -> Node | None:
    """Texts of the schema's format, if it is one that is known."""
    name = schema.get("format", "")
    return FORMATS.get(name)


def number_node(schema: Schema, *, is_integer: bool) -> Node:
    if not any(key in schema for key in OF_NUMBERS):
        return INTEGER if is_integer else NUMBER
    bounds = bounds_of(schema, is_integer=is_integer)
    return Counted(BoundedNumber(bounds))
