"""JSON schemas as grammars. Their texts are valid; what cannot be kept is refused by name.

Not every valid text is one of the grammar: names come in the order of `properties`, and an object
with `properties` has no others unless `additionalProperties` asks for them.
"""

import json
import time
from typing import NamedTuple

from _shared.grammars.arrays import ArrayWriter
from _shared.grammars.assembling import machine_of
from _shared.grammars.checks import finite_rules, is_finite, reachable
from _shared.grammars.different import OF_ARRAY, OF_MEMBERS, DifferentItems, Kind
from _shared.grammars.json_text import (
    ANY_ARRAY,
    ANY_OBJECT,
    ANY_VALUE,
    BOOLEAN,
    NULL,
    any_value_rules,
    quoted,
)
from _shared.grammars.merging import AnySchema, Schema, meaning_of, merged, types_of, without
from _shared.grammars.nodes import (
    NOTHING,
    ROOT,
    Choice,
    Counted,
    GrammarError,
    Literal,
    Node,
    Rule,
    Rules,
    Unsatisfiable,
)
from _shared.grammars.objects import ObjectWriter
from _shared.grammars.pointers import resolve
from _shared.grammars.scalars import number_node, text_node
from _shared.grammars.splitting import Splitting, is_split
from _shared.grammars.validity import Validity
from _shared.grammars.values import KINDS, OF_ARRAYS, OF_OBJECTS
from _shared.grammars.wellformed import check_schema

MOST_SCHEMAS = 6_000
"""Schemas within a schema, counting one again wherever it is referred to with other keywords."""
DEEPEST = 48
MOST_CHARS = 256 << 10
LONGEST_CPU_S = 2.0
"""Large schemas of coding tools take a twentieth of that."""


class Different(NamedTuple):
    """Items that must differ, the rule that they have, and what it is if there are none."""

    array: DifferentItems
    items: list[Node]
    rule: str
    without_items: Node


def rules_of(schema: AnySchema) -> Rules:
    """Raises: GrammarError."""
    try:
        return SchemaReader(schema).rules()
    except RecursionError:
        raise GrammarError("it is nested too deep") from None


def rule_name(pointer: str) -> str:
    return f"at {pointer}"


class SchemaReader:
    """One schema with all that it refers to in itself."""

    def __init__(self, whole: AnySchema) -> None:
        size = len(json.dumps(whole))
        if size > MOST_CHARS:
            raise GrammarError(f"it has over {MOST_CHARS >> 10} KiB")
        self._whole = whole
        self._rules: Rules = any_value_rules()
        self._count = 0
        self._depth = 0
        self._begun_cpu_s = time.thread_time()
        self._unread: list[str] = []
        self._reasons: list[str] = []
        self._different: list[Different] = []
        self.validity = Validity(lambda pointer: resolve(whole, pointer))
        self._splitting = Splitting(self)
        self._objects = ObjectWriter(self)
        self._arrays = ArrayWriter(self)

    def rules(self) -> Rules:
        # A name of its own: `root` may be referred to from inside it.
        self._rules[ROOT] = self._referred("#")
        while self._unread:
            pointer = self._unread.pop()
            self._rules[rule_name(pointer)] = self.node(resolve(self._whole, pointer))
        self._check_root()
        self._make_items()
        return self._rules

    def _make_items(self) -> None:
        """Grammars of the items that must differ. Where no text is an item there is none."""
        finite = finite_rules(self._rules)
        possible = []
        for each in self._different:
            if all(is_finite(item, finite) for item in each.items):
                possible.append(each)
            else:
                self._rules[each.rule] = each.without_items
        for each in possible:
            each.array.items = [machine_of({**self._rules, ROOT: item}) for item in each.items]
        for each in possible:
            each.array.check()

    def _check_root(self) -> None:
        """Raises: GrammarError that says what nothing fits."""
        if self._reasons and ROOT not in finite_rules(reachable(self._rules)):
            raise GrammarError(f"no value fits it: {self._reasons[0]}")

    def different(self, items: list[Node], least: int, most: int | None) -> Node:
        """An array of these items; its grammar is made when all rules are read."""
        empty = NOTHING if least else Literal("[]")
        return self._of_different(OF_ARRAY, items, least, most, empty)

    def different_members(self, member: Node, least: int, most: int | None) -> Node:
        return self._of_different(OF_MEMBERS, [member], least, most, NOTHING)

    def _of_different(
        self,
        kind: Kind,
        items: list[Node],
        least: int,
        most: int | None,
        without_items: Node,
    ) -> Node:
        array = DifferentItems(kind, least=least, most=most)
        rule = f"part-{len(self._rules)}"
        self._rules[rule] = Counted(array)
        self._different.append(Different(array, items, rule, without_items))
        return Rule(rule)

    def add_rule(self, node: Node) -> Node:
        """A rule of its own, for what stands in more than one place."""
        name = f"part-{len(self._rules)}"
        self._rules[name] = node
        return Rule(name)

    def node(self, schema: AnySchema) -> Node:
        """Raises: GrammarError."""
        if schema is True or schema == {}:
            return Rule(ANY_VALUE)
        if schema is False:
            return NOTHING
        check_schema(schema)
        self._count += 1
        if self._count > MOST_SCHEMAS:
            raise GrammarError("it has too many schemas in itself")
        if time.thread_time() - self._begun_cpu_s > LONGEST_CPU_S:
            raise GrammarError("it takes too long to be compiled")
        self._depth += 1
        if self._depth > DEEPEST:
            raise GrammarError(f"it is nested over {DEEPEST} deep")
        try:
            return self._node(meaning_of(schema))
        finally:
            self._depth -= 1

    def _node(self, schema: Schema) -> Node:
        if "enum" in schema or "const" in schema:
            return self._listed_values(schema)
        if "$ref" in schema:
            return self._reference(schema)
        if is_split(schema) or "allOf" in schema:
            return self._composed(schema)
        return self._of_type(schema)

    def _composed(self, schema: Schema) -> Node:
        """A rule by what it says: what it refers to may lead to the same words again."""
        name = f"as {json.dumps(schema)}"
        if name not in self._rules:
            self._rules[name] = NOTHING
            # A dozen conditions on one object are many steps, and no nesting of its values.
            self._depth -= 1
            try:
                self._rules[name] = self._parts(schema)
            finally:
                self._depth += 1
        return Rule(name)

    def _parts(self, schema: Schema) -> Node:
        if not is_split(schema):
            return self._all_of(schema)
        branches = self._splitting.alternatives(schema)
        return Choice(tuple(self.node(branch) for branch in branches))

    def _reference(self, schema: Schema) -> Node:
        pointer = schema["$ref"]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        if not rest:
            return self._referred(pointer)
        target = resolve(self._whole, pointer)
        if isinstance(target, bool):
            return self.node(rest if target else False)
        return self.node(merged(target, rest))

    def _referred(self, pointer: str) -> Node:
        """A rule for the place that is referred to, so that it may refer to itself."""
        name = rule_name(pointer)
        if name not in self._rules:
            self._rules[name] = NOTHING
            self._unread.append(pointer)
        return Rule(name)

    def _all_of(self, schema: Schema) -> Node:
        whole = {key: value for key, value in schema.items() if key != "allOf"}
        if not whole and len(schema["allOf"]) == 1:
            return self.node(schema["allOf"][0])
        for part in schema["allOf"]:
            if part is False:
                return NOTHING
            if part is not True:
                whole = merged(whole, self.plain(part))
        return self.node(whole)

    def plain(self, schema: Schema) -> Schema:
        """The schema with what it refers to in its own place."""
        check_schema(schema)
        for _ in range(DEEPEST):
            if "$ref" not in schema:
                return schema
            target = resolve(self._whole, schema["$ref"])
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            if isinstance(target, bool):
                schema = rest if target else {**rest, "enum": []}
            else:
                schema = merged(target, rest)
        raise GrammarError("$ref: it refers to itself")

    def flat(self, schema: AnySchema) -> Schema:
        """What can be compared: without references and `allOf` at its top."""
        if isinstance(schema, bool):
            return {} if schema else {"enum": []}
        plain = self.plain(schema)
        parts = plain.get("allOf")
        if parts is None:
            return plain
        whole = {key: value for key, value in plain.items() if key != "allOf"}
        for part in parts:
            whole = merged(whole, self.flat(part))
        return whole

    def _listed_values(self, schema: Schema) -> Node:
        """Held against all that stands beside them."""
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        rest = without(schema, ("enum",) if "enum" in schema else ("const",))
        kept = self.validity.fitting(values, rest)
        return Choice(tuple(Literal(quoted(value)) for value in kept))

    def _of_type(self, schema: Schema) -> Node:
        types = types_of(schema)
        if "type" not in schema:
            # A keyword of one type means that type: nobody bounds the length of a number.
            meant = [kind for kind, keywords in KINDS if any(key in schema for key in keywords)]
            types = meant or types
        if "number" in types:
            types = [each for each in types if each != "integer"]
        return Choice(tuple(self._one_type(each, schema) for each in types))

    def _one_type(self, kind: str, schema: Schema) -> Node:
        try:
            return self._values_of(kind, schema)
        except Unsatisfiable as error:
            self._reasons.append(str(error))
            return NOTHING

    def _values_of(self, kind: str, schema: Schema) -> Node:
        if kind == "object":
            is_any = not any(key in schema for key in OF_OBJECTS)
            return Rule(ANY_OBJECT) if is_any else self._objects.node(schema)
        if kind == "array":
            is_any = not any(key in schema for key in OF_ARRAYS)
            return Rule(ANY_ARRAY) if is_any else self._arrays.node(schema)
        if kind == "string":
            return text_node(schema)
        if kind == "boolean":
            return BOOLEAN
        if kind == "null":
            return NULL
        return number_node(schema, is_integer=kind == "integer")
