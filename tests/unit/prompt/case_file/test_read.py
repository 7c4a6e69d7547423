import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.lined import lined, plain
from llmops_cli.prompt.case_file.read import read_suite
from llmops_cli.prompt.case_file.suite import Check, CheckSet, Suite


def suite_of(folder: Path, text: str, name: str = "cases.yaml") -> Suite:
    path = folder / name
    path.write_text(text)
    return read_suite(path)


def test_lists_of_texts_multiply_and_others_are_values(tmp_path: Path) -> None:
    found = suite_of(
        tmp_path,
        """
tests:
  - vars: {language: [French, Spanish], input: [one, two], numbers: [1, 2], yes: yes, at: 12:30}
""",
    )
    assert len(found.cases) == 4
    assert [case.variables["language"] for case in found.cases] == ["French", "French"] + [
        "Spanish"
    ] * 2
    first = found.cases[0].variables
    assert first["numbers"] == [1, 2]
    # YAML 1.2: neither a truth value nor a number of base 60
    assert first["yes"] == "yes"
    assert first["at"] == "12:30"


def test_a_case_may_keep_its_lists(tmp_path: Path) -> None:
    found = suite_of(
        tmp_path,
        "tests: [{vars: {a: [x, y]}, options: {disableVarExpansion: true}}]",
    )
    assert [case.variables for case in found.cases] == [{"a": ["x", "y"]}]


def test_defaults_scenarios_and_sets(tmp_path: Path) -> None:
    found = suite_of(
        tmp_path,
        """
defaultTest:
  vars: {tone: dry}
  threshold: 0.5
  assert: [{type: contains, value: everywhere}]
scenarios:
  - config:
      - vars: {language: French}
      - vars: {language: German}
    tests:
      - vars: {input: one}
        assert:
          - type: assert-set
            threshold: 0.5
            weight: 2
            assert: [{type: not-equals, value: a}, {type: is-json}]
tests:
  - vars: {tone: warm}
    options: {disableDefaultAsserts: true}
""",
    )
    plain_case, french, german = found.cases
    assert plain_case.variables == {"tone": "warm"}
    assert plain_case.checks == ()
    assert french.variables == {"tone": "dry", "language": "French", "input": "one"}
    assert german.variables["language"] == "German"
    inherited, own = french.checks
    assert isinstance(inherited, Check)
    assert isinstance(own, CheckSet)
    assert (own.weight, own.threshold) == (2, 0.5)
    assert own.checks[0].is_negated
    assert french.threshold == 0.5


def test_every_unknown_key_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        suite_of(
            tmp_path,
            """tests:
  - vras: {a: b}
    assert:
      - type: contains
        value: x
        treshold: 1
      - type: contians
        value: x
promts: [a]
""",
        )
    message = caught.value.message
    assert "cases.yaml:2: unknown key 'vras' of a case (did you mean 'vars'?)" in message
    assert "cases.yaml:6: unknown key 'treshold' of an assertion" in message
    assert "cases.yaml:7: unknown assertion type 'contians' (did you mean 'contains'?)" in message
    assert "cases.yaml:9: unknown key 'promts' of the file" in message
    assert (caught.value.hint or "").startswith("did you mean")


def test_code_is_named_with_its_line_and_never_run(tmp_path: Path) -> None:
    found = suite_of(
        tmp_path,
        """tests:
  - vars: {a: b, c: file://vars.py}
    assert:
      - type: javascript
        value: output.length > 3
      - type: equals
        value: file://expected.js
      - type: contains
        value: x
        transform: output.map(x => x.y)
      - type: is-json
      - type: webhook
        value: https://example.com
    assertScoringFunction: file://score.js
  - file://more.py:make
prompts: [file://prompt.py, plain]
extensions: [file://hook.js:f]
""",
    )
    lines = sorted(int(each.where.rpartition(":")[2]) for each in found.left_out)
    assert lines == [2, 4, 7, 10, 12, 14, 15, 16, 17]
    assert [prompt.text for prompt in found.prompts] == ["plain"]
    # neither is the assertion whose transform is code judged without it
    assert [check.kind for check in found.cases[0].all_checks()] == ["is-json"]


def test_a_case_of_which_nothing_can_be_judged_does_not_pass(tmp_path: Path) -> None:
    found = suite_of(
        tmp_path,
        """tests:
  - assert: [{type: javascript, value: "true"}]
  - options: {transform: "output.map(f)"}
    assert: [{type: is-json}]
  - assert: [{type: is-json}]
""",
    )
    assert [case.where.rpartition(":")[2] for case in found.cases] == ["5"]
    assert {each.where.rpartition(":")[2] for each in found.left_out} == {"2", "3"}


def test_csv_has_promptfoos_columns(tmp_path: Path) -> None:
    found = suite_of(
        tmp_path,
        "question,__expected,__expected2,__config:__expected2:threshold,__metric,__description\n"
        'one,"contains-any: a, ""b, c""",similar(0.9): two,0.5,tone,first\n'
        "two,plain words,,,,\n"
        "three,not-icontains: x,levenshtein(3): y,,,\n",
        "cases.csv",
    )
    first, second, third = found.cases
    assert first.variables == {"question": "one"}
    assert first.description == "first"
    any_of, similar = first.all_checks()
    assert any_of.value == ["a", "b, c"]
    assert (any_of.metric, similar.metric) == ("tone", "tone")
    assert similar.threshold == 0.5
    (equal,) = second.all_checks()
    assert (equal.kind, equal.value) == ("equals", "plain words")
    negated, near = third.all_checks()
    assert negated.is_negated
    assert (near.kind, near.value, near.threshold) == ("levenshtein", "y", 3)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is empty"),
        ("a,b\n1,2,3\n", ":2: 3 cells below 2 heads"),
        ("a,__wrong\n1,2\n", ":2: unknown column '__wrong'"),
        ("a,__threshold\n1,high\n", ":2: __threshold is a number"),
        ("a,__expected,__expected\n1,b,c\n", ":1: column '__expected' stands there 2 times"),
        ("a,__config:__expected2:threshold\n1,0.5\n", "fits no assertion"),
    ],
)
def test_a_wrong_csv_is_told_with_its_line(tmp_path: Path, text: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        suite_of(tmp_path, text, "cases.csv")


def test_a_threshold_is_of_the_column_with_its_number(tmp_path: Path) -> None:
    """An empty cell before it moves nothing."""
    heads = "a,__expected1,__expected2,__expected3,__config:__expected2:threshold"
    rows = "1,,similar: b,similar: c,0.5\n2,similar: a,,similar: c,0.5\n"
    found = suite_of(tmp_path, f"{heads}\n{rows}", "cases.csv")
    thresholds = [[check.threshold for check in case.all_checks()] for case in found.cases]
    assert thresholds == [[0.5, 0.8], [0.8, 0.8]]


@pytest.mark.parametrize("sign", [";", "\t"])
def test_a_table_may_have_other_signs_between_its_cells(tmp_path: Path, sign: str) -> None:
    text = f"q{sign}__expected\r\nwhy, then{sign}contains: a,b\r\n"
    (case,) = suite_of(tmp_path, text, "cases.csv").cases
    assert case.variables == {"q": "why, then"}
    assert [check.value for check in case.all_checks()] == ["a,b"]


def test_jsonl_has_a_case_a_line(tmp_path: Path) -> None:
    found = suite_of(
        tmp_path,
        '{"vars": {"q": 1}, "assert": [{"type": "equals", "value": "1"}]}\n\n{"vars": {"q": 2}}\n',
        "cases.jsonl",
    )
    assert [case.where.rpartition(":")[2] for case in found.cases] == ["1", "3"]
    with pytest.raises(UsageError, match=r"cases\.jsonl:2"):
        suite_of(tmp_path, '{"vars": {}}\n{"vars": {\n', "cases.jsonl")


def test_prompts_are_texts_chats_files_and_labels(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("first {{a}}\n---\nsecond {{a}}\n")
    (tmp_path / "chat.json").write_text('[{"role": "user", "content": "{{a}}"}]')
    found = suite_of(
        tmp_path,
        """
prompts:
  - "say {{a}}"
  - file://two.txt
  - {id: file://chat.json, label: chat}
  - {label: raw, raw: "raw {{a}}"}
tests: [{vars: {a: b}}]
""",
    )
    labels = [prompt.label for prompt in found.prompts]
    assert labels == ["say {{a}}", "two.txt#1", "two.txt#2", "chat", "raw"]


def test_references_inside_a_file_but_not_those_of_a_schema(tmp_path: Path) -> None:
    found = suite_of(
        tmp_path,
        """
assertionTemplates:
  polite: {type: icontains, value: please}
tests:
  - assert:
      - $ref: '#/assertionTemplates/polite'
      - type: is-json
        value: {$defs: {n: {type: number}}, properties: {a: {$ref: '#/$defs/n'}}}
""",
    )
    polite, schema = found.cases[0].all_checks()
    assert polite.value == "please"
    assert schema.value["properties"]["a"] == {"$ref": "#/$defs/n"}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("tests: [", "cases.yaml:1"),
        ("a: 1\na: 2\n", ":2: 'a' stands there twice"),
        ("- just\n- words\n", "no file|holds no cases"),
        ("x", "holds no cases"),
        ("tests: []", "holds no cases"),
        ("tests: [{vars: [1]}]", "no file|vars"),
        ("tests: [{assert: {type: equals}}]", "assert is a list"),
        ("tests: [{assert: [{value: 1}]}]", "an assertion has a type"),
        ("tests: [{vars: {a: b}, threshold: high}]", "threshold is a number"),
        ("tests: [{vars: {a: b}, threshold: .nan}]", ":1: threshold is no number"),
        ("tests: [{vars: {a: !!int b}}]", ":1: no number: b"),
        (f"tests: [{{vars: {{a: {'1' * 5000}}}}}]", ":1: no number: 1111"),
        ("tests: [{vars: {a: file:///nowhere/*.txt}}]", "no file matches"),
        ("a: &a [*a]\ntests: []", "nested too deeply|unknown key"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong) as caught:
        suite_of(tmp_path, text)
    assert "\n" not in caught.value.message


KEYS = st.text(max_size=80)
"""YAML takes keys of up to 1,024 characters, escaped ones of JSON among them."""
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_is_read_as_it_is(value: object) -> None:
    texts = [json.dumps(value), json.dumps(value, indent="\t", ensure_ascii=False)]
    for text in texts:
        assert plain(lined(text, Path("x.json"))) == json.loads(text)


def test_rows_of_json_are_cut_at_line_feeds_alone(tmp_path: Path) -> None:
    values = ["a\u2028b", "a\x85b", "a\x7fb"]
    lines = [json.dumps({"vars": {"q": value}}, ensure_ascii=False) for value in values]
    found = suite_of(tmp_path, "\r\n".join(lines), "cases.jsonl")
    assert [case.variables["q"] for case in found.cases] == values


def test_a_file_that_points_anywhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"elsewhere/{name}.yaml").write_text(f"vars: {{q: {name}}}\n")
    pattern = f"file://{tmp_path}/elsewhere/*.yaml"
    found = suite_of(tmp_path, f"tests: ['{pattern}', file://elsewhere/a.yaml]")
    assert [case.variables["q"] for case in found.cases] == ["a", "b", "a"]


def test_what_a_file_of_tests_points_to_lies_beside_it_or_beside_the_suite(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/near.txt").write_text("near")
    (tmp_path / "near.txt").write_text("far")
    (tmp_path / "shared.txt").write_text("shared")
    variables = "{near: file://near.txt, shared: file://shared.txt, any: file://share*.txt}"
    (tmp_path / "tests/cases.yaml").write_text(f"- vars: {variables}\n")
    (case,) = suite_of(tmp_path, "tests: file://tests/cases.yaml").cases
    assert case.variables == {"near": "near", "shared": "shared", "any": "shared"}


PROVIDERS = """
prompts: [p]
providers:
  - id: openai:gpt-4o-mini
    config:
      max_completion_tokens: 50
      tools: file://tools.json
      response_format: file://schema.yaml
      top_p: 0.5
    transform: output.trim()
tests: [{vars: {a: b}}]
"""


def test_settings_of_a_provider_may_lie_in_files_and_what_is_not_sent_is_named(
    tmp_path: Path,
) -> None:
    tool = {"type": "function", "function": {"name": "look"}}
    (tmp_path / "tools.json").write_text(json.dumps([tool], indent="\t"))
    (tmp_path / "schema.yaml").write_text("type: json_object\n")
    (provider,) = suite_of(tmp_path, PROVIDERS).providers
    assert provider.settings == {
        "max_tokens": 50,
        "tools": [tool],
        "response_format": {"type": "json_object"},
    }
    assert provider.unsent == ("transform", "config.top_p")
    (tmp_path / "tools.json").write_text('"look"')
    with pytest.raises(UsageError, match=r"cases\.yaml:7: tools: must be"):
        suite_of(tmp_path, PROVIDERS)
