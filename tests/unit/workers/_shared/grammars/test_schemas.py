"""What each keyword allows, and which are refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from _shared.grammars.nodes import GrammarError
from tests.unit.workers._shared.grammars.walks import after, allows, of_schema

TEXT = {"type": "string"}
INTEGER = {"type": "integer"}
PERSON = {
    "type": "object",
    "properties": {"name": TEXT, "age": INTEGER, "ok": {"type": "boolean"}},
    "required": ["name"],
}
TREE = {
    "type": "object",
    "properties": {"v": INTEGER, "left": {"$ref": "#"}, "right": {"$ref": "#"}},
    "required": ["v"],
}
TAGGED = {
    "oneOf": [
        {"type": "object", "properties": {"k": {"const": "x"}, "v": INTEGER}, "required": ["k"]},
        {"type": "object", "properties": {"k": {"const": "y"}}, "required": ["k"]},
    ]
}

CASES: list[tuple[str, Any, list[str], list[str]]] = [
    ("minimum and maximum", {**INTEGER, "minimum": 1, "maximum": 5}, ["1", "5"], ["0", "6", "72"]),
    ("exclusive", {**INTEGER, "exclusiveMinimum": 1, "exclusiveMaximum": 4}, ["2"], ["1", "4"]),
    ("negative", {**INTEGER, "minimum": -12, "maximum": -3}, ["-3", "-12"], ["-2", "3", "-13"]),
    ("one side", {**INTEGER, "minimum": 1000}, ["1000", "99999"], ["999", "-5", "01000"]),
    ("multipleOf", {**INTEGER, "multipleOf": 7}, ["0", "7", "-14", "700"], ["1", "15"]),
    ("fractions", {"type": "number", "multipleOf": 0.01}, ["0.25", "3", "-1.5"], ["0.255", "1e2"]),
    ("decimals", {"type": "number", "minimum": 0.5, "maximum": 2}, ["0.5", "2.0"], ["0.4", "2.1"]),
    ("long text", {**TEXT, "maxLength": 65536}, ['"' + "a" * 3000 + '"'], ["5"]),
    (
        "lengths",
        {**TEXT, "minLength": 2, "maxLength": 3},
        ['"ab"', '"\\n\\u00e9"'],
        ['"a"', '"abcd"'],
    ),
    ("pattern", {**TEXT, "pattern": "^[a-z]+-[0-9]{2}$"}, ['"ab-12"'], ['"ab-1"', '"-12"']),
    (
        "pattern and length",
        {**TEXT, "pattern": "^(ab)+$", "minLength": 3, "maxLength": 5},
        ['"abab"'],
        ['"ab"', '"ababab"'],
    ),
    ("pattern anywhere", {**TEXT, "pattern": "b"}, ['"b"', '"abc"'], ['"ac"']),
    ("date", {**TEXT, "format": "date"}, ['"2026-02-28"'], ['"2026-13-01"', '"x"']),
    (
        "format and length",
        {**TEXT, "format": "email", "maxLength": 7},
        ['"ab@c.de"'],
        ['"abc@d.ef"', '"ab"'],
    ),
    (
        "format beside a list",
        {"format": "date", "enum": ["x", "2024-01-31", "2024-02-30"]},
        ['"2024-01-31"'],
        ['"x"', '"2024-02-30"'],
    ),
    (
        "names that are texts",
        {"type": "object", "propertyNames": TEXT, "additionalProperties": INTEGER},
        ['{"a": 1}'],
        ['{"a": "b"}'],
    ),
    ("a group with a name", {**TEXT, "pattern": "^(?<y>[0-9]{2})$"}, ['"26"'], ['"2"']),
    ("letters", {**TEXT, "pattern": "^\\p{L}[\\p{N}_]$"}, ['"é7"', '"ж_"'], ['"7é"']),
    (
        "numbers apart",
        {"oneOf": [{**INTEGER, "maximum": 10}, {**INTEGER, "minimum": 11}]},
        ["10", "11"],
        ["x"],
    ),
    ("enum", {"enum": ["a", 1, None]}, ['"a"', "1", "null"], ['"b"', "2"]),
    ("enum beside a type", {**TEXT, "enum": ["a", 1]}, ['"a"'], ["1"]),
    ("const", {"const": {"a": [1]}}, ['{"a": [1]}'], ["1"]),
    ("types", {"type": ["integer", "null"]}, ["3", "null"], ["3.5", '"3"']),
    ("object", PERSON, ['{"name":"a"}', '{"name": "a", "ok": true}'], ["{}", '{"age":1}']),
    ("free object", {"type": "object"}, ["{}", '{"a":{"b":[1,{}]}}'], ["[]"]),
    ("map", {"additionalProperties": INTEGER}, ['{"a":1,"b":2}', "{}"], ['{"a":"b"}']),
    (
        "named and others",
        {"properties": {"ab": TEXT}, "additionalProperties": INTEGER},
        ['{"ab":"x","c":1}', '{"a":1}', '{"abc":1}'],
        ['{"ab":1}', '{"c":1,"ab":2}'],
    ),
    ("only required", {"required": ["z"]}, ['{"z":[]}'], ["{}"]),
    (
        "counted properties",
        {"properties": {"a": TEXT, "b": TEXT, "c": TEXT}, "minProperties": 2, "maxProperties": 2},
        ['{"a":"","b":""}'],
        ['{"a":""}', '{"a":"","b":"","c":""}'],
    ),
    ("pattern of names", {"patternProperties": {"^x": INTEGER}}, ['{"x1":1}', "{}"], ['{"y":1}']),
    (
        "array",
        {"items": INTEGER, "minItems": 1, "maxItems": 2},
        ["[1]", "[1, 2]"],
        ["[]", "[1,2,3]"],
    ),
    ("many items", {"items": INTEGER, "maxItems": 100000}, ["[]", "[1,2,3]"], ["[1,]"]),
    (
        "tuple",
        {"prefixItems": [INTEGER, TEXT], "items": False, "minItems": 1},
        ["[1]", '[1,"a"]'],
        ["[]", "[1,2]", '[1,"a",1]'],
    ),
    (
        "unique values",
        {"items": {"enum": ["a", "ab"]}, "uniqueItems": True},
        ['["ab", "a"]'],
        ['["a","a"]'],
    ),
    (
        "unique numbers",
        {"items": INTEGER, "uniqueItems": True},
        ["[1,12]", "[]"],
        ["[1,1]", "[0,0]"],
    ),
    ("unique texts", {"items": TEXT, "uniqueItems": True}, ['["a","b"]'], ['["a","a"]']),
    (
        "unique objects",
        {"items": {"type": "object"}, "uniqueItems": True},
        ['[{"a":1},{"a":2}]', "[{}]"],
        ['[{"a":1},{ "a": 1}]', '[{"a":1,"b":2},{"b":2,"a":1.0}]'],
    ),
    (
        "a part that nothing fits",
        {"properties": {"a": {**INTEGER, "minimum": 2, "maximum": 1}, "b": TEXT}},
        ["{}", '{"b":""}'],
        ['{"a":1}'],
    ),
    (
        "one of two that nothing fits",
        {"type": ["integer", "null"], "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        ["null"],
        ["1", "2"],
    ),
    ("root reference", TREE, ['{"v":1,"left":{"v":2,"right":{"v":3}}}'], ['{"left":{"v":1}}']),
    ("anyOf", {"anyOf": [TEXT, {"type": "null"}]}, ['"a"', "null"], ["1"]),
    ("oneOf", TAGGED, ['{"k":"x","v":1}', '{"k":"y"}'], ['{"k":"y","v":1}']),
    ("allOf", {"allOf": [{**INTEGER, "minimum": 3}, {"maximum": 4}]}, ["3", "4"], ["2", "5"]),
    ("not a type", {"not": TEXT}, ["1", "null", "{}"], ['"a"']),
    ("not a text", {**TEXT, "not": {"enum": ["a", "ab"]}}, ['"b"', '"abc"', '""'], ['"a"', '"ab"']),
    (
        "not a text of a length",
        {**TEXT, "maxLength": 1, "not": {"const": "a"}},
        ['"b"', '""'],
        ['"a"', '"bc"'],
    ),
    ("not a number", {**INTEGER, "not": {"const": 5}}, ["4", "6", "55"], ["5"]),
    ("not in a range", {**INTEGER, "not": {"minimum": 3, "maximum": 5}}, ["2", "6"], ["3", "5"]),
    (
        "not together",
        {"properties": {"a": TEXT, "b": TEXT}, "not": {"required": ["a", "b"]}},
        ['{"a":""}', '{"b":""}', "{}"],
        ['{"a":"","b":""}'],
    ),
    ("not either", {"type": ["integer", "null"], "not": {"anyOf": [INTEGER]}}, ["null"], ["1"]),
    (
        "if a kind then more",
        {
            "properties": {"kind": {"enum": ["a", "b", "c"]}, "n": INTEGER, "s": TEXT},
            "required": ["kind"],
            "allOf": [
                {"if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["n"]}},
                {"if": {"properties": {"kind": {"const": "b"}}}, "then": {"required": ["s"]}},
            ],
        },
        ['{"kind":"a","n":1}', '{"kind":"b","s":""}', '{"kind":"c"}', '{"kind":"b","n":1,"s":""}'],
        ['{"kind":"a"}', '{"kind":"a","s":""}', '{"kind":"b","n":1}', "{}"],
    ),
    (
        "if and else",
        {
            "properties": {"n": INTEGER, "s": TEXT},
            "if": {"properties": {"n": {"minimum": 10}}, "required": ["n"]},
            "then": {"required": ["s"]},
            "else": {"properties": {"s": False}},
        },
        ['{"n":10,"s":""}', '{"n":9}', "{}"],
        ['{"n":10}', '{"n":9,"s":""}', '{"s":""}'],
    ),
    ("if alone", {**INTEGER, "if": {"minimum": 3}}, ["1", "5"], ['""']),
    (
        "asks for another name",
        {"properties": {"a": TEXT, "b": TEXT}, "dependentRequired": {"a": ["b"]}},
        ['{"a":"","b":""}', '{"b":""}', "{}"],
        ['{"a":""}'],
    ),
    (
        "dependencies of older drafts",
        {
            "properties": {"a": TEXT, "b": INTEGER},
            "dependencies": {"a": {"properties": {"b": {"minimum": 5}}}},
        },
        ['{"a":"","b":5}', '{"a":""}', '{"b":1}'],
        ['{"a":"","b":1}'],
    ),
    ("contains", {"items": INTEGER, "contains": {"minimum": 5}}, ["[5]", "[1,7,2]"], ["[]", "[1]"]),
    (
        "contains so many",
        {"contains": {"const": 5}, "items": INTEGER, "minContains": 2, "maxContains": 3},
        ["[5,5]", "[5,1,5]", "[1,5,2,5,5,3]"],
        ["[5]", "[5,1]", "[5,5,5,5]"],
    ),
    (
        "contains within bounds",
        {"contains": {"const": 5}, "items": INTEGER, "minItems": 2, "maxItems": 3},
        ["[5,1]", "[1,5]", "[1,2,5]"],
        ["[5]", "[1,2]", "[1,1,1,5]"],
    ),
    (
        "short names",
        {"propertyNames": {"maxLength": 2}, "additionalProperties": INTEGER},
        ['{"ab":1}', "{}"],
        ['{"abc":1}'],
    ),
    (
        "named and other names",
        {
            "properties": {"a": TEXT, "long": TEXT},
            "propertyNames": {"maxLength": 2},
            "additionalProperties": INTEGER,
        },
        ['{"a":"","b":1}'],
        ['{"long":""}', '{"a":1}', '{"b":1,"a":1}'],
    ),
    (
        "more names than are named",
        {"properties": {"a": TEXT}, "additionalProperties": INTEGER, "minProperties": 3},
        ['{"a":"","b":1,"c":1}'],
        ['{"a":"","b":1}', '{"a":"","b":1,"b":2}'],
    ),
    (
        "numbers that overlap",
        {"oneOf": [{**INTEGER, "maximum": 10}, {**INTEGER, "minimum": 8}]},
        ["7", "11"],
        ["8", "10"],
    ),
    (
        "objects that overlap",
        {
            "oneOf": [
                {"properties": {"a": INTEGER}, "required": ["a"], "type": "object"},
                {"properties": {"b": INTEGER}, "required": ["b"], "type": "object"},
            ],
            "properties": {"a": INTEGER, "b": INTEGER},
        },
        ['{"a":1}', '{"b":1}'],
        ['{"a":1,"b":1}', "{}"],
    ),
    (
        "a unique tuple",
        {"prefixItems": [{"enum": [1, 2]}, {"enum": [1, 2]}], "uniqueItems": True, "items": False},
        ["[1,2]", "[2,1]", "[1]"],
        ["[1,1]", "[2,2]"],
    ),
    (
        "items as a list",
        {"items": [INTEGER, TEXT], "additionalItems": False},
        ['[1,"a"]', "[1]"],
        ['["a"]', '[1,"a",2]'],
    ),
    (
        "tuples of two schemas",
        {"prefixItems": [INTEGER], "allOf": [{"items": {"minimum": 5}}], "maxItems": 1},
        ["[5]"],
        ["[1]"],
    ),
    (
        "two patterns",
        {**TEXT, "pattern": "^a", "allOf": [{"pattern": "z$"}]},
        ['"az"', '"abz"'],
        ['"a"', '"z"'],
    ),
    (
        "pattern and format",
        {**TEXT, "format": "date", "pattern": "^2.*1$"},
        ['"2026-02-21"'],
        ['"2026-02-22"'],
    ),
    (
        "a list beside keywords of objects",
        {"enum": [{"a": 1}, {"a": "x"}, {}], "properties": {"a": INTEGER}, "required": ["a"]},
        ['{"a": 1}'],
        ['{"a": "x"}', "{}"],
    ),
    (
        "a text that no longer list has",
        {"enum": ["a", "b"], "not": {"const": "a"}},
        ['"b"'],
        ['"a"'],
    ),
    (
        "an array of what nothing is",
        {"items": {**INTEGER, "minimum": 2, "maximum": 1}, "uniqueItems": True},
        ["[]"],
        ["[1]"],
    ),
    (
        "beside a reference",
        {"$ref": "#/$defs/n", "maximum": 3, "$defs": {"n": INTEGER}},
        ["3", "-9"],
        ["4"],
    ),
]


@pytest.mark.parametrize(
    ("schema", "good", "bad"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_keyword_holds(schema: Any, good: list[str], bad: list[str]) -> None:
    machine = of_schema(schema)
    assert [text for text in good if not allows(machine, text)] == []
    assert [text for text in bad if allows(machine, text)] == []


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({**TEXT, "not": {"pattern": "^a"}}, "the opposite of pattern is not supported"),
        ({"not": {}}, "no text fits it"),
        ({"not": True}, "no text fits it"),
        ({"if": {}, "then": False}, "no text fits it"),
        ({"contains": INTEGER, "uniqueItems": True}, "contains beside prefixItems"),
        ({"contains": INTEGER, "maxItems": 0}, "contains"),
        ({"unevaluatedProperties": False}, "unevaluatedProperties is not supported"),
        ({**TEXT, "not": {"const": "a"}, "pattern": "^a"}, "beside pattern"),
        ({"not": {"const": []}}, "objects and arrays in a list"),
        ({"if": 5}, "if: a schema is expected"),
        ({"dependentRequired": {"a": "b"}}, "dependentRequired"),
        ({"properties": {"a": TEXT}, "minProperties": 2}, "minProperties"),
        ({**TEXT, "format": "date", "pattern": "^a"}, "pattern: no text matches it beside"),
        ({**TEXT, "format": "uri", "enum": ["x"]}, "format: uri beside enum"),
        ({**TEXT, "format": "date", "maxLength": 5}, "no text matches"),
        ({**TEXT, "pattern": "^\\P{L}$"}, "\\P{L} is not supported"),
        ({"oneOf": [INTEGER, {"type": "number"}]}, "oneOf"),
        ({"items": {"enum": ["a"]}, "uniqueItems": True, "minItems": 2}, "uniqueItems"),
        ({**INTEGER, "minimum": 3, "maximum": 2}, "no number"),
        ({**INTEGER, "minimum": "3"}, "minimum: a number is expected"),
        ({**TEXT, "minLength": 3, "maxLength": 2}, "minLength"),
        ({**TEXT, "minLength": -1}, "minLength"),
        ({**TEXT, "pattern": "(a"}, "pattern"),
        ({**TEXT, "pattern": "(?=a)b"}, "pattern: assert is not supported"),
        ({**TEXT, "pattern": "(a)\\1"}, "pattern: groupref"),
        ({**TEXT, "pattern": "((a{99}){99}){99}"}, "pattern: it repeats too much"),
        ({"type": "text"}, "type: 'text'"),
        ({"type": 5}, "type"),
        ({"enum": "abc"}, "enum"),
        ({"$ref": "#/nowhere"}, "'#/nowhere' is not in this schema"),
        ({"$ref": "https://example.org/a.json"}, "is not a place in this schema"),
        ({"$ref": "#"}, "no text fits it"),
        (False, "no text fits it"),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "no text fits it"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(schema: Any, named: str) -> None:
    with pytest.raises(GrammarError) as refused:
        of_schema(schema)
    assert named in str(refused.value)


@pytest.mark.parametrize("keyword", ["items", "not-a-keyword"])
def test_a_schema_that_is_nested_too_deep_is_refused(keyword: str) -> None:
    schema: dict[str, Any] = {}
    for _ in range(900):
        schema = {"type": "array", keyword: schema}
    if keyword == "items":
        with pytest.raises(GrammarError, match="deep"):
            of_schema(schema)
    else:
        assert allows(of_schema(schema), "[]")


def test_a_large_schema_of_a_coding_tool_is_ready_soon() -> None:
    fields = {f"field_{place}": {**TEXT, "maxLength": 65536} for place in range(300)}
    machine = of_schema({"type": "object", "properties": fields, "additionalProperties": False})
    values = dict.fromkeys([*fields][::7], "x")
    assert allows(machine, json.dumps(values))


def test_nesting_ends_before_readers_of_json_give_up() -> None:
    machine = of_schema({})
    depth = 0
    while after(machine, "[" * (depth + 1)) is not None:
        depth += 1
    assert 50 < depth < 500
    json.loads("[" * depth + "]" * depth)
    assert allows(machine, "[" * depth + "]" * depth)


def test_a_schema_that_would_take_for_ever_is_refused() -> None:
    heavy = {**TEXT, "pattern": "^(ab|c){1,900}$", "minLength": 3, "maxLength": 900}
    fields = {f"p{place}": heavy for place in range(300)}
    with pytest.raises(GrammarError, match="takes too long"):
        of_schema({"type": "object", "properties": fields})


def test_an_item_that_could_only_be_there_twice_is_not_begun() -> None:
    machine = of_schema({"items": {"type": ["integer", "null"]}, "uniqueItems": True})
    assert after(machine, "[null, n") is None
    assert allows(machine, "[null, 5]")


FLAG = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("items", "first", "wrong", "whole"),
    [
        (FLAG, '[{"a": true}, {"a": ', "t", '[{"a": true}, {"a": false}]'),
        ({**TEXT, "pattern": "^[ab]$"}, '["a", "', "a", '["a", "b"]'),
        ({**TEXT, "pattern": "^[a ]{2}$"}, '["aa", "', '"', '["aa", "  "]'),
        ({**INTEGER, "minimum": 7, "maximum": 8}, "[7,", "7", "[7,8]"),
    ],
    ids=["objects", "patterns", "blanks", "numbers"],
)
def test_different_items_come_to_no_dead_end(
    items: Any, first: str, wrong: str, whole: str
) -> None:
    machine = of_schema({"type": "array", "items": items, "uniqueItems": True, "minItems": 2})
    assert after(machine, first) is not None
    assert after(machine, first + wrong) is None
    assert allows(machine, whole)


def test_more_different_items_than_there_are_is_refused() -> None:
    with pytest.raises(GrammarError, match="fewer than 3 different items"):
        of_schema({"type": "array", "items": FLAG, "uniqueItems": True, "minItems": 3})


def test_no_comma_follows_the_last_item_that_there_is() -> None:
    machine = of_schema({"items": FLAG, "uniqueItems": True})
    assert after(machine, '[{"a": true}, {"a": false},') is None
    assert allows(machine, '[{"a": true}, {"a": false}]')


def test_many_conditions_on_one_object_are_kept() -> None:
    kinds = [f"k{place}" for place in range(12)]
    rules = [
        {"if": {"properties": {"kind": {"const": kind}}}, "then": {"required": [f"of_{kind}"]}}
        for kind in kinds
    ]
    properties = {"kind": {"enum": kinds}, **{f"of_{kind}": INTEGER for kind in kinds}}
    machine = of_schema({"properties": properties, "required": ["kind"], "allOf": rules})
    assert allows(machine, '{"kind":"k11","of_k11":1}')
    assert not allows(machine, '{"kind":"k11","of_k10":1}')
