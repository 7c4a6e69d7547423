"""Grammars of calls whose arguments stand between tags: real names, valid arguments."""

from typing import Any, NamedTuple

from _shared.grammars.factoring import common_prefix
from _shared.grammars.json_text import ANY_VALUE, any_value_rules, quoted
from _shared.grammars.merging import AnySchema, Schema, meaning_of, types_of
from _shared.grammars.nodes import (
    NOTHING,
    ROOT,
    Choice,
    Counted,
    GrammarError,
    Literal,
    Node,
    Repeat,
    Rule,
    Rules,
    renamed,
    sequence,
)
from _shared.grammars.raw_texts import RawText
from _shared.grammars.schemas import rules_of
from _shared.grammars.wellformed import check_schema
from _shared.tools.tags import Tags

OF_RAW_TEXTS = frozenset({"type", "minLength", "maxLength"})
OF_ARGUMENTS = frozenset({"type", "properties", "required", "additionalProperties"})
REFERRED = ("$defs", "definitions")


class Ends(NamedTuple):
    """What stands after a call's last value, and after its name if it has no arguments."""

    after_value: str
    after_name: str


class TaggedCalls:
    """Writes calls in one form."""

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._end_of_text = common_prefix([tags.next, tags.last, tags.between or tags.last])
        self._rules: Rules = any_value_rules()

    # Any: the schema of each tool's arguments.
    def rules(self, tools: dict[str, dict[str, Any]], *, most: int) -> Rules:
        """What comes after the opening, which is written for the model. Raises: GrammarError."""
        tags = self._tags
        whole = self._any_call(tools, Ends(tags.last, tags.empty))
        self._rules[ROOT] = whole
        if most > 1 and tags.between is not None and tags.between_empty is not None:
            followed = self._any_call(tools, Ends(tags.between, tags.between_empty))
            self._rules[ROOT] = sequence(Repeat(followed, 0, most - 1), whole)
        return self._rules

    def _any_call(self, tools: dict[str, dict[str, Any]], ends: Ends) -> Node:
        calls = []
        for name, parameters in tools.items():
            try:
                calls.append(sequence(Literal(name), self._arguments(name, parameters, ends)))
            except GrammarError as error:
                raise GrammarError(f"the parameters of {name!r}: {error}") from error
        return self._rule(Choice(tuple(calls)))

    def _rule(self, node: Node) -> Node:
        name = f"call-part-{len(self._rules)}"
        self._rules[name] = node
        return Rule(name)

    def _arguments(self, tool: str, parameters: Schema, ends: Ends) -> Node:
        """Built from the end: what may follow a value, and what may follow the name."""
        check_schema(parameters)
        meant = meaning_of(parameters)
        for keyword in meant.keys() - OF_ARGUMENTS:
            raise GrammarError(f"{keyword} is not supported where arguments stand between tags")
        if "object" not in types_of(meant):
            return NOTHING
        required = meant.get("required", [])
        properties = {**dict.fromkeys(required, True), **meant.get("properties", {})}
        after: Node = Literal(ends.after_value)
        alone: Node = Literal(ends.after_name)
        for key in reversed(properties):
            value = self._value(tool, key, properties[key], parameters)
            rest = sequence(Literal(key + self._tags.equals), value, self._rule(after))
            argument = self._rule(rest)
            following = sequence(Literal(self._tags.next), argument)
            first = sequence(Literal(self._tags.first), argument)
            is_required = key in required
            after = following if is_required else Choice((following, after))
            alone = first if is_required else Choice((first, alone))
        return alone

    def _value(self, tool: str, key: str, schema: AnySchema, whole: Schema) -> Node:
        if schema is True:
            return Rule(ANY_VALUE)
        if schema is False:
            return NOTHING
        name = f"value {tool} {key} {ROOT}"
        if name not in self._rules:
            self._rules |= self._rules_of_value(f"value {tool} {key} ", schema, whole)
        return Rule(name)

    def _rules_of_value(self, prefix: str, schema: Schema, whole: Schema) -> Rules:
        """A text as it is, everything else as JSON."""
        check_schema(schema)
        meant = meaning_of(schema)
        listed = [*meant.get("enum", []), *([meant["const"]] if "const" in meant else [])]
        if any(isinstance(value, str) for value in listed):
            return {prefix + ROOT: self._listed(schema, listed)}
        if "type" in meant and "string" in types_of(meant):
            return {prefix + ROOT: self._text(meant)}
        referred = {key: whole[key] for key in REFERRED if key in whole}
        return renamed(rules_of({**referred, **schema}), prefix)

    def _listed(self, schema: Schema, values: list[Any]) -> Node:
        if schema.keys() & {"allOf", "anyOf", "oneOf", "not", "if", "$ref"}:
            raise GrammarError("enum beside schemas is not supported between tags")
        texts = [value if isinstance(value, str) else quoted(value) for value in values]
        if any(self._end_of_text in text for text in texts):
            raise GrammarError("enum: a value ends its own tag")
        return Choice(tuple(map(Literal, texts)))

    def _text(self, meant: Schema) -> Node:
        for keyword in meant.keys() - OF_RAW_TEXTS:
            raise GrammarError(f"{keyword} of a text is not supported between tags")
        text = RawText(
            self._end_of_text,
            least=meant.get("minLength", 0),
            most=meant.get("maxLength"),
        )
        return self._either_empty(text)

    def _either_empty(self, text: RawText) -> Node:
        """An automaton reads at least one character; a text may have none."""
        whole: Node = Counted(text)
        return Choice((Literal(""), whole)) if text.is_end(text.start) else whole
