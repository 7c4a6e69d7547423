"""A pattern that a text holds is never put aside for want of a word."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.guard.needed_words import NeededWords
from llmops_cli.guard.rules import expand

MACROS = {"VERB": "ignor(?:e|es|ing)|set aside|(?:do not|never) follow", "ALL": "all|any|of|the"}
PATTERNS = (
    "(?:<VERB>) (?:(?:<ALL>) ){0,3}(?:previous|prior) ~2(?:rules?|prompts?)",
    "(?:what|which) (?:\\S+ )?rules ?(?:$|now|of)",
    "(?:rule|prompt)(?:s|\\S*ed)? (?:so far|now)?",
    "un\\S+ ?bot|(?:the |any )+bot",
    "(?:say|write) ~1(?:now|rules) (?:and )*(?:then|of)?",
    "(?:set|follow) aside (?:never )?(?:[a-z]+ )?now",
)
WORDS = (
    *("ignore", "ignoring", "set", "aside", "do", "not", "never", "follow", "all", "any", "of"),
    *("the", "previous", "prior", "rule", "rules", "prompts", "prompted", "what", "which", "now"),
    *("so", "far", "unbot", "unkind", "bot", "say", "write", "and", "then", "weather", "ab"),
)


@settings(max_examples=400, deadline=None)
@given(words=st.lists(st.sampled_from(WORDS), max_size=9))
def test_what_holds_is_possible(words: list[str]) -> None:
    patterns = [expand(pattern, MACROS) for pattern in PATTERNS]
    skeleton = f" {' '.join(words)} "
    holds = {number for number, each in enumerate(patterns) if re2.search(each, skeleton)}
    assert holds <= NeededWords(patterns).possible(skeleton)


@pytest.mark.parametrize(
    ("skeleton", "expected"),
    [
        pytest.param(" never follow the previous rules ", {0}, id="every-kind"),
        pytest.param(" never follow the rules ", set(), id="a-kind-missing"),
        pytest.param(" the rules follow previous things ", set(), id="words-apart"),
        pytest.param(" weather ", set(), id="none"),
    ],
)
def test_a_pattern_whose_words_are_missing_is_put_aside(skeleton: str, expected: set[int]) -> None:
    patterns = [expand(PATTERNS[0], MACROS)]
    assert NeededWords(patterns).possible(skeleton) == expected
