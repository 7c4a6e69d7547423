"""llama.cpp's own grammars: what they mean, and how wrong ones are refused."""

from __future__ import annotations

import pytest

from _shared.grammars.nodes import GrammarError
from tests.unit.workers._shared.grammars.walks import after, allows, of_gbnf

ITEM = 'root ::= item+ # many\n\nitem ::= [a-z] (\n  digit\n  | "-"\n)? "\\n"\ndigit ::= [0-9]'


@pytest.mark.parametrize(
    ("grammar", "good", "bad"),
    [
        (ITEM, ["a\n", "a1\nb-\n"], ["a", "1\n", "a--\n"]),
        ('root ::= "a"{2,4}', ["aa", "aaaa"], ["a", "aaaaa"]),
        ('root ::= "a"{3} | ("b" "c"){2,}', ["aaa", "bcbc", "bcbcbc"], ["aa", "bc"]),
        ('root ::= [^"\\\\] .', ["xy", "é😀"], ['"x', "x"]),
        ("root ::= [\\x41-\\u00e9-]", ["A", "é", "-"], ["@"]),
        ('root ::= "(" root? ")"', ["()", "((()))"], ["(", "())"]),
        ('root ::= "a"{0,100000} "b"', ["b", "aaab"], ["a"]),
        ('root ::= ((("a"*)*)*)* "b"', ["b", "aab"], ["a"]),
        ('root ::= ("" | "a"){2,90000} "b"', ["b", "aab"], ["a"]),
        ('root ::= ab\nab ::= "ab" | "a"', ["ab", "a"], ["b", "abb"]),
    ],
)
def test_a_grammar_means(grammar: str, good: list[str], bad: list[str]) -> None:
    machine = of_gbnf(grammar)
    assert [text for text in good if not allows(machine, text)] == []
    assert [text for text in bad if allows(machine, text)] == []


@pytest.mark.parametrize(
    ("grammar", "named"),
    [
        ("root ::= (", "line 1 of the grammar: ')' is expected"),
        ('root ::= "a', "not closed"),
        ('root ::= "\\q"', "unknown escape"),
        ("x ::= [a]", "no rule 'root'"),
        ("root ::= y", "no rule 'y'"),
        ('root ::= root "a" | "b"', "begins with itself"),
        ('root ::= x? root\nx ::= "b"', "no text fits it"),
        ('root ::= x* y\ny ::= root | "c"\nx ::= "b"', "begins with itself"),
        ('root ::= "a"{4,2}', "a repetition of 4 to 2"),
        ('root ::= "a"{2', "'}' is expected"),
        ("root ::= [z-a]", "a range of"),
        ("root ::= <think>", "not supported"),
        ("root ::= " + "(" * 5000, "nested over"),
        ("root ::= " + '"a"' * 50000, "KiB"),
        ('root ::= "a" }', "is not expected"),
    ],
)
def test_a_wrong_grammar_says_what_and_where(grammar: str, named: str) -> None:
    with pytest.raises(GrammarError) as refused:
        of_gbnf(grammar)
    assert named in str(refused.value)


def test_a_grammar_that_means_too_much_at_once_is_an_error_of_its_own_text() -> None:
    machine = of_gbnf('root ::= "a" root "b" | "a" root "c" | "a"')
    assert allows(machine, "aab")
    with pytest.raises(GrammarError, match="too ambiguous"):
        after(machine, "a" * 60)


@pytest.mark.parametrize(
    ("count", "text", "fits"),
    [(2, "a,a", False), (2, "a,a,a", True), (2, "b,a,a", False), (1, "b,a,a", True)],
)
def test_what_may_have_begun_earlier_does_not_shorten_a_count(
    count: int, text: str, fits: bool
) -> None:
    machine = of_gbnf(f'root ::= ([ab] ",")* "a" ("," "a"){{{count}}}')
    assert allows(machine, text) is fits
