"""JSON schemas drawn by number: what clients write, with every keyword that a grammar keeps."""

from __future__ import annotations

import random
from typing import Any

Schema = dict[str, Any] | bool

NAMES = ["a", "b", "name", "id", "x_1", 'quote"d', "é", "tags"]
PATTERNS = [
    "^[a-z]+$",
    "^[A-Z]{2}[0-9]{3,8}$",
    "[0-9]+",
    "^(ab|cd)*$",
    "^.{3,9}$",
    "^\\d{4}-\\d{2}$",
    "^[^@]+@[^@]+$",
    "foo|^bar$",
    "^\\w+\\s\\w+$",
    "a{2,}b?",
    "^(?:x|y{1,3})+z$",
]
FORMATS = ["date", "date-time", "time", "uuid", "ipv4", "email", "uri"]
VALUES = [None, True, False, 0, 1, -3, 2.5, "a", "b", "", "long text", '"q"', 12, 100]
DEEPEST = 4


def drawn_schema(number: int, *, seed: int = 0) -> dict[str, Any]:
    """An object that may refer to itself and to two definitions."""
    draw = random.Random(f"{seed}-{number}")
    whole = schema(draw, 0)
    if isinstance(whole, bool) or draw.random() < 0.7:
        properties = {"p": whole, "q": schema(draw, 1)}
        required = draw.sample(["p", "q"], draw.randint(0, 2))
        whole = {"type": "object", "properties": properties, "required": required}
    following = {"anyOf": [{"$ref": "#/$defs/list"}, {"type": "null"}]}
    chain = {"type": "object", "properties": {"next": following, "v": {"type": "integer"}}}
    return {**whole, "$defs": {"any": schema(draw, 2), "list": chain}}


def schema(draw: random.Random, depth: int) -> Schema:
    makers = [text, number, number, single, listed, anything, reference]
    if depth < DEEPEST:
        makers += [obj, obj, obj, array, array, several]
    return draw.choice(makers)(draw, depth)


def text(draw: random.Random, _depth: int) -> Schema:
    made: dict[str, Any] = {"type": "string"}
    maybe(draw, made, "minLength", [0, 1, 3, 10], 0.3)
    maybe(draw, made, "maxLength", [2, 5, 20, 65536], 0.4)
    maybe(draw, made, "pattern", PATTERNS, 0.3)
    maybe(draw, made, "format", FORMATS, 0.15)
    return made


def number(draw: random.Random, _depth: int) -> Schema:
    made: dict[str, Any] = {"type": draw.choice(["integer", "number", ["integer", "null"]])}
    maybe(draw, made, "minimum", [-100, 0, 1, 0.5, -2.25, 5, 1_000_000], 0.5)
    maybe(draw, made, "maximum", [5, 10, 99.5, 1000, 7, 2**40], 0.4)
    maybe(draw, made, "exclusiveMinimum", [0, 1, -1.5], 0.15)
    maybe(draw, made, "exclusiveMaximum", [100, 12.5], 0.15)
    maybe(draw, made, "multipleOf", [2, 3, 5, 0.5, 0.01, 0.1, 7, 25], 0.25)
    return made


def single(draw: random.Random, _depth: int) -> Schema:
    return {"type": draw.choice(["boolean", "null"])}


def listed(draw: random.Random, _depth: int) -> Schema:
    if draw.random() < 0.5:
        return {"const": draw.choice(VALUES)}
    return {"enum": draw.choices(VALUES, k=draw.randint(1, 5))}


def anything(draw: random.Random, _depth: int) -> Schema:
    return draw.choice([{}, True, {"type": "object"}, {"type": "array"}])


def reference(draw: random.Random, _depth: int) -> Schema:
    return {"$ref": draw.choice(["#", "#/$defs/any", "#/$defs/list"])}


def obj(draw: random.Random, depth: int) -> Schema:
    names = draw.sample(NAMES, draw.randint(0, 5))
    properties = {name: schema(draw, depth + 1) for name in names}
    made: dict[str, Any] = {"type": "object", "properties": properties}
    if draw.random() < 0.7:
        made["required"] = draw.sample(names, draw.randint(0, len(names)))
    maybe(draw, made, "additionalProperties", [False, True, {"type": "integer"}], 0.4)
    maybe(draw, made, "minProperties", [0, 1, 2, 3], 0.1)
    maybe(draw, made, "maxProperties", [1, 2, 3, 4], 0.1)
    if draw.random() < 0.07:
        made["patternProperties"] = {draw.choice(PATTERNS): schema(draw, depth + 1)}
    maybe(draw, made, "description", ["words"], 0.1)
    return made


def array(draw: random.Random, depth: int) -> Schema:
    made: dict[str, Any] = {"type": "array", "items": schema(draw, depth + 1)}
    maybe(draw, made, "minItems", [0, 1, 2, 3], 0.3)
    maybe(draw, made, "maxItems", [1, 2, 3, 5, 1000], 0.3)
    maybe(draw, made, "uniqueItems", [True], 0.1)
    if draw.random() < 0.15:
        made["prefixItems"] = [schema(draw, depth + 1) for _ in range(draw.randint(1, 3))]
    return made


def several(draw: random.Random, depth: int) -> Schema:
    parts = [schema(draw, depth + 1) for _ in range(draw.randint(1, 3))]
    kind = draw.choice(["anyOf", "anyOf", "oneOf", "allOf"])
    if kind == "allOf":
        parts = parts[:1]
    return {kind: parts, "description": "one of several"}


def maybe(
    draw: random.Random,
    made: dict[str, Any],
    keyword: str,
    values: list[Any],
    chance: float,
) -> None:
    if draw.random() < chance:
        made[keyword] = draw.choice(values)


def drawn_rules(number: int, *, seed: int = 0) -> dict[str, Any]:
    """A schema with keywords that make alternatives of it, or take values away."""
    draw = random.Random(f"rules-{seed}-{number}")
    whole = drawn_schema(number, seed=seed)
    maker = draw.choice([negation, condition, wanted, overlapping, dependents, names, repeated])
    rules = maker(draw, 1)
    kind = draw.choice(["alone", "beside", "property"])
    if kind == "alone":
        return {**rules, "$defs": whole["$defs"]}
    if kind == "beside":
        return {**whole, "allOf": [rules]}
    properties = {"p": rules, "q": schema(draw, 2)}
    return {
        "type": "object",
        "properties": properties,
        "required": ["p"],
        "$defs": whole["$defs"],
    }


def negation(draw: random.Random, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {"not": schema(draw, depth + 1)}
    if draw.random() < 0.6:
        other = schema(draw, depth + 1)
        made["allOf"] = [other]
    return made


def condition(draw: random.Random, depth: int) -> dict[str, Any]:
    kinds = ["a", "b", "c"]
    properties = {"kind": {"enum": kinds}, "n": number(draw, depth), "s": text(draw, depth)}
    made: dict[str, Any] = {"type": "object", "properties": properties}
    maybe(draw, made, "required", [["kind"], ["kind", "n"], ["s"]], 0.8)
    maybe(draw, made, "additionalProperties", [False, True], 0.4)
    rules = []
    for kind in draw.sample(kinds, draw.randint(1, 3)):
        asked: dict[str, Any] = {"properties": {"kind": {"const": kind}}}
        maybe(draw, asked, "required", [["kind"]], 0.5)
        rule: dict[str, Any] = {"if": asked}
        maybe(draw, rule, "then", [{"required": ["n"]}, {"required": ["z"]}, number_of_n()], 0.9)
        maybe(draw, rule, "else", [{"required": ["s"]}, {"properties": {"s": False}}], 0.4)
        rules.append(rule)
    if len(rules) == 1:
        return {**made, **rules[0]}
    return {**made, "allOf": rules}


def number_of_n() -> dict[str, Any]:
    return {"properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}


def wanted(draw: random.Random, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "array", "contains": schema(draw, depth + 1)}
    maybe(draw, made, "items", [schema(draw, depth + 1), {"type": ["integer", "string"]}], 0.5)
    maybe(draw, made, "minContains", [0, 1, 2, 3], 0.3)
    maybe(draw, made, "maxContains", [1, 2, 3], 0.3)
    maybe(draw, made, "minItems", [1, 2, 4], 0.3)
    maybe(draw, made, "maxItems", [1, 3, 5], 0.3)
    return made


def overlapping(draw: random.Random, depth: int) -> dict[str, Any]:
    makers = draw.choice([[number], [text], [obj], [number, listed], [array], [schema]])
    count = draw.randint(2, 3)
    return {"oneOf": [draw.choice(makers)(draw, depth + 1) for _ in range(count)]}


def dependents(draw: random.Random, depth: int) -> dict[str, Any]:
    made = obj(draw, depth)
    names = NAMES[:5]
    if draw.random() < 0.6:
        made["dependentRequired"] = {draw.choice(names): draw.sample(names, draw.randint(0, 2))}
    else:
        made["dependentSchemas"] = {draw.choice(names): obj(draw, depth + 1)}
    return made


def names(draw: random.Random, depth: int) -> dict[str, Any]:
    made = obj(draw, depth)
    made.pop("patternProperties", None)
    made["propertyNames"] = {**text(draw, depth), "type": "string"}
    maybe(draw, made, "minProperties", [1, 2, 3], 0.4)
    return made


def repeated(draw: random.Random, depth: int) -> dict[str, Any]:
    maker = draw.choice([text, number, obj, array, several, schema])
    return {"allOf": [maker(draw, depth + 1) for _ in range(2)]}
