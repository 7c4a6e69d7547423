import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.suite import Check, CheckSet
from llmops_cli.prompt.checks.overlap import edits
from llmops_cli.prompt.checks.scoring import scored
from llmops_cli.prompt.checks.table import CHECKS, COMPARED, ELSEWHERE, JUDGED, function_of
from llmops_cli.prompt.checks.verdict import Given, Misused, Verdict
from llmops_cli.prompt.transforms import CannotTransform, as_text, read_transform


def verdict(kind: str, value: object, text: str, **more: object) -> Verdict:
    is_negated = kind.startswith("not-")
    check = Check(kind=kind.removeprefix("not-"), value=value, is_negated=is_negated, **more)
    return function_of(check.kind)(check, Given(text=text, value=text))


FOX = "the quick brown fox jumps over the lazy dog"
SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "number"}}}
CASES = [
    ("equals", "hello", "hello", "hello "),
    ("equals", {"a": [1]}, '{"a":[1]}', '{"a":[true]}'),
    ("equals", 4, "4", "4.0"),
    ("contains", "ell", "hello", "HELLO"),
    ("icontains", "ELL", "hello", "hal"),
    ("contains-all", ["a", "b"], "b a", "a"),
    ("contains-all", 'a, "b, c"', "a b, c", "a b c"),
    ("contains-any", ["x", "b"], "b", "a"),
    ("icontains-all", ["A", "B"], "ab", "a"),
    ("icontains-any", ["A"], "xa", "b"),
    ("starts-with", "he", "hello", "the"),
    ("ends-with", "lo", "hello", "lot"),
    ("regex", "^h.*o$", "hello", "hello\n"),
    ("regex", "(?<w>fox)(?! jumped)", FOX, "fox jumped"),
    ("word-count", 2, "two  words\n", "one"),
    ("word-count", {"min": 1, "max": 2}, "a b", "a b c"),
    ("character-count", {"max": 3}, "abc", "abcd"),
    ("is-json", None, " [1] ", "NaN"),
    ("is-json", SCHEMA, '{"a": 1}', '{"a": "1"}'),
    ("is-json", "{type: object, required: [a]}", '{"a": null}', "{}"),
    ("contains-json", SCHEMA, 'so {"a": 2}', 'so {"b": 2}'),
    ("is-xml", {"requiredElements": ["a.b"]}, "<a><b/></a>", "<a><c/></a>"),
    ("is-xml", None, "<a>1 &lt; 2</a>", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
    ("contains-xml", None, "so <a>1</a>.", "1 < 2 > 1"),
    ("is-html", None, "<div class='a'>b</div>", "so <b>c</b>"),
    ("contains-html", None, "so <p>b</p>", "a < b"),
    ("is-sql", None, "SELECT a FROM t", "hello"),
    ("is-sql", {"allowedTables": ["select::null::t"]}, "SELECT a FROM t", "SELECT a FROM u"),
    ("contains-sql", None, "so\n```sql\nSELECT 1\n```", "so\n```\nhello\n```"),
    ("levenshtein", "kitten", "sitting", "sitting kittens"),
    ("rouge-n", FOX, FOX.upper(), "a dog"),
    ("bleu", ["no", FOX], FOX, "fox quick"),
    ("gleu", FOX, f"{FOX}.", "a dog"),
    ("meteor", FOX, "the quick brown fox jumped over the lazy dogs", "cats sleep"),
    ("is-refusal", None, "I'm sorry, but I can't help with that.", "The answer is 4."),
    ("tool-call-f1", "get", '{"name": "get"}', '{"name": "put"}'),
]


@pytest.mark.parametrize(("kind", "value", "good", "bad"), CASES)
def test_an_assertion_and_its_negation(kind: str, value: object, good: str, bad: str) -> None:
    assert verdict(kind, value, good).passed
    assert not verdict(kind, value, bad).passed
    assert not verdict(f"not-{kind}", value, good).passed
    assert verdict(f"not-{kind}", value, bad).passed
    assert verdict(kind, value, bad).reason


def test_what_was_measured_or_was_not() -> None:
    cached = Given(text="", value="")
    late = Given(text="", value="", latency_ms=30.0, cost=0.2, finish_reason="stop")
    for kind in ("latency", "cost"):
        check = Check(kind=kind, threshold=0.3)
        assert function_of(kind)(check, cached).error
    assert not function_of("latency")(Check(kind="latency", threshold=29), late).passed
    assert function_of("cost")(Check(kind="cost", threshold=0.2), late).passed
    assert function_of("latency")(Check(kind="latency", metric="time"), late).score == 30
    assert function_of("finish-reason")(Check(kind="finish-reason", value="STOP"), late).passed
    assert function_of("perplexity")(Check(kind="perplexity", threshold=2), late).error
    with pytest.raises(Misused):
        function_of("latency")(Check(kind="latency"), late)


def test_calls_of_tools_have_to_fit_what_was_offered() -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "required": ["city"]},
        },
    }

    def called(name: str, arguments: str) -> bool:
        call = {"type": "function", "function": {"name": name, "arguments": arguments}}
        given = Given(text="", value="", tools=(tool,), tool_calls=(call,))
        check = Check(kind="is-valid-openai-tools-call")
        return function_of(check.kind)(check, given).passed

    assert called("weather", '{"city": "Oslo"}')
    assert not called("weather", "{}")
    assert not called("weather", "{")
    assert not called("time", "{}")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("contains", ""),
        ("contains", None),
        ("contains-any", []),
        ("word-count", {}),
        ("word-count", {"min": 3, "max": 2}),
        ("word-count", "many"),
        ("regex", "("),
        ("is-json", "[1]"),
        ("word-count", {"min": "2"}),
        ("is-sql", {"databaseType": "abacus"}),
        ("is-sql", {"allowedTables": "users"}),
        ("is-sql", {"allowedTables": ["select::(::t("]}),
    ],
)
def test_a_value_that_can_judge_nothing(kind: str, value: object) -> None:
    with pytest.raises(Misused):
        verdict(kind, value, "SELECT 1" if kind == "is-sql" else '{"a": 1}')


def test_no_type_stands_in_two_tables() -> None:
    tables = [*CHECKS, *JUDGED, *COMPARED, *ELSEWHERE]
    assert len(tables) == len(set(tables))
    assert all(function_of(kind) for kind in CHECKS)


def test_a_pattern_that_would_take_forever_does_not() -> None:
    assert not verdict("regex", "^(a+)+$", "a" * 5000 + "b").passed


def passes(*scores: float) -> list[Verdict]:
    return [Verdict(passed=score >= 1, score=score) for score in scores]


def test_scores_are_weighted_and_a_threshold_decides() -> None:
    checks = (Check(kind="a", weight=3), Check(kind="b", metric="tone"))
    assert not scored(checks, passes(1, 0), threshold=None).passed
    found = scored(checks, passes(1, 0), threshold=0.75)
    assert found.passed
    assert found.score == 0.75
    assert found.metrics == {"tone": 0.0}
    assert not scored(checks, passes(1, 0), threshold=0.76).passed
    assert scored((), [], threshold=None).passed


def test_an_assertion_of_no_weight_cannot_fail() -> None:
    checks = (Check(kind="a"), Check(kind="b", weight=0))
    found = scored(checks, passes(1, 0), threshold=None)
    assert found.passed
    assert found.score == 1


def test_a_set_counts_as_one() -> None:
    inner = CheckSet(checks=(Check(kind="a"), Check(kind="b")), threshold=0.5)
    assert scored((inner, Check(kind="c")), passes(1, 0, 1), threshold=None).score == 0.75
    assert scored((inner, Check(kind="c")), passes(1, 0, 1), threshold=None).passed


def test_an_answer_without_a_verdict_passes_nothing() -> None:
    broken = Verdict(passed=False, score=0.0, error="the judge did not answer")
    found = scored((Check(kind="a"),), [broken], threshold=0)
    assert found.error
    assert not found.passed


@given(st.text(max_size=30), st.text(max_size=30))
def test_edits_are_a_distance(left: str, right: str) -> None:
    found = edits(left, right)
    assert found == edits(right, left)
    assert (found == 0) == (left == right)
    assert abs(len(left) - len(right)) <= found <= max(len(left), len(right))


def table_distance(left: str, right: str) -> int:
    """As the textbook has it."""
    row = list(range(len(right) + 1))
    for i, char in enumerate(left, start=1):
        above = row[0]
        row[0] = i
        for j, other in enumerate(right, start=1):
            replaced = above + (char != other)
            above = row[j]
            row[j] = min(above + 1, row[j - 1] + 1, replaced)
    return row[-1]


@given(st.text("abc", max_size=80), st.text("abcd", max_size=80))
def test_edits_are_those_of_the_table(left: str, right: str) -> None:
    assert edits(left, right) == table_distance(left, right)


def test_long_texts_are_compared_as_a_whole_and_soon() -> None:
    begin = time.process_time()
    same = "x" * 30_000
    assert not verdict("levenshtein", same + "a" * 9, same + "b" * 9).passed
    words = [f"{number}ing" for number in range(2000)]
    assert verdict("meteor", " ".join(words), " ".join(reversed(words)), threshold=0.4).passed
    assert time.process_time() - begin < 5


def test_texts_that_differ_over_a_megabyte_have_no_verdict_and_soon() -> None:
    begin = time.process_time()
    same = "x" * 1_000_000
    assert verdict("levenshtein", f"{same}a{same}", f"{same}b{same}").passed
    with pytest.raises(Misused, match="200,000 characters at most, both together"):
        verdict("levenshtein", "ab" * 500_000, "cd" * 500_000)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    "calls",
    [
        ("look",),
        ({"function": None},),
        ({"function": {"name": ["look"]}},),
        ({"function": {"name": "look", "arguments": "{"}},),
        (7, None),
    ],
)
def test_calls_of_another_form_are_wrong_and_end_nothing(calls: tuple[object, ...]) -> None:
    tools = ({"type": "function", "function": {"name": "look"}},)
    given = Given(text="", value=[], tool_calls=calls, tools=tools)
    for kind, value in (("is-valid-openai-tools-call", None), ("tool-call-f1", "put")):
        assert not function_of(kind)(Check(kind=kind, value=value), given).passed


@given(st.text(max_size=60), st.text(min_size=1, max_size=20))
def test_a_negation_is_the_opposite(text: str, wanted: str) -> None:
    for kind in ("contains", "icontains", "starts-with", "ends-with", "equals"):
        assert verdict(kind, wanted, text).passed is not verdict(f"not-{kind}", wanted, text).passed


@pytest.mark.parametrize(
    ("code", "answer", "found"),
    [
        ("output.trim().toLowerCase()", " Ab ", "ab"),
        ("JSON.parse(output).a.b[1]", '{"a": {"b": [1, 2]}}', "2"),
        ("JSON.parse(output)", '{"a":1}', '{"a":1}'),
        ("output.split('####')[1].trim()", "x #### 4", "4"),
        ('JSON.parse(output)["the key"]', '{"the key": "v"}', "v"),
        ("output.split('→')[1]", "é→ü", "ü"),
        ("output.split('\\n\\n')[1]", "a\n\nb", "b"),
        ("output.split('\\u2192')[0]", "é→ü", "é"),
        ("output.split('\\x')[1]", "axb", "b"),
        ("output.split('\\ud83d\\ude00')[1]", "a😀b", "b"),
        ("output.split(',').pop()", "a,b", "b"),
        ("output.split(',').at(-2)", "a,b", "a"),
        (
            "JSON.parse(JSON.parse(output)[0].arguments).city",
            '[{"arguments": "{\\"city\\": \\"O\\"}"}]',
            "O",
        ),
    ],
)
def test_declared_transforms(code: str, answer: str, found: str) -> None:
    assert as_text(read_transform(code)(answer)) == found


@pytest.mark.parametrize("code", ["output.at()", "output.at(-)", "output.pop(1)", "run(output)"])
def test_what_is_no_declared_step_is_refused(code: str) -> None:
    with pytest.raises(UsageError, match="is code"):
        read_transform(code)


def test_a_transform_of_an_answer_that_has_no_such_part() -> None:
    with pytest.raises(CannotTransform):
        read_transform("JSON.parse(output).a")("no JSON")
    assert json.loads(as_text([1, "é"])) == [1, "é"]
