"""Texts and numbers of a schema."""

from _shared.grammars.bounds import BoundedNumber
from _shared.grammars.formats import pattern_of
from _shared.grammars.json_text import FORMATS, INTEGER, NUMBER, text
from _shared.grammars.merging import OTHER_PATTERNS, OTHER_THAN, Schema
from _shared.grammars.nodes import Counted, GrammarError, Literal, Node, Unsatisfiable, sequence
from _shared.grammars.patterns import Pattern
from _shared.grammars.texts import WRITABLE, OtherKey, PatternText
from _shared.grammars.values import OF_NUMBERS, bounds_of


def text_node(schema: Schema) -> Node:
    least = schema.get("minLength", 0)
    most = schema.get("maxLength")
    if most is not None and most < least:
        raise Unsatisfiable("minLength is above maxLength")
    if OTHER_THAN in schema:
        if "pattern" in schema or _form_of(schema) is not None:
            raise GrammarError("not: texts beside pattern or format are not supported")
        return Counted(OtherKey(frozenset(schema[OTHER_THAN]), least=least, most=most))
    if "pattern" in schema:
        pattern = _pattern_of(schema)
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


def _pattern_of(schema: Schema) -> Pattern:
    """With all that the text must match. Raises: GrammarError."""
    others = [Pattern(source, writable=WRITABLE) for source in schema.get(OTHER_PATTERNS, [])]
    if _form_of(schema) is not None:
        others.append(pattern_of(schema["format"]))
    return Pattern(schema["pattern"], writable=WRITABLE, beside=tuple(others))


def _form_of(schema: Schema) -> Node | None:
    """Texts of the schema's format, if it is one that is known."""
    name = schema.get("format", "")
    return FORMATS.get(name)


def number_node(schema: Schema, *, is_integer: bool) -> Node:
    if not any(key in schema for key in OF_NUMBERS):
        return INTEGER if is_integer else NUMBER
    bounds = bounds_of(schema, is_integer=is_integer)
    return Counted(BoundedNumber(bounds))
