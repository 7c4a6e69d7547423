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
