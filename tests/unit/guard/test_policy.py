"""Policy files: what is wrong in one is said in one line with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.core.errors import LlmopsError, UsageError
from llmops_cli.guard.check import Guard
from llmops_cli.guard.policy import load_policy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("routes: {/x: block}", "line 1: /x cannot be 'block'"),
        ("input:\n  injection: flag\nroutes:\n  /x: block\n", "line 4: /x cannot be 'block'"),
        ("routes: [1]", "line 1: routes cannot be [1]"),
        ("routes: {/x: {inptu: {}}}", "unknown side of /x"),
        ("roles: user", "line 1: roles cannot be 'user'"),
        ("roles:\n  tool: 5", "line 2: tool cannot be 5"),
        ("input: block", "line 1: input cannot be 'block'"),
        ("output: [a]", "line 1: output cannot be ['a']"),
        ("input:\n  injection: {threshold: -1}", "line 2: injection"),
        (
            "input: {injection: {threshold: .nan}}",
            "threshold: must be a number from 0 to 1",
        ),
        (
            "input: {injection: {threshold: .inf}}",
            "threshold: must be a number from 0 to 1",
        ),
        (
            "input: {length: {action: block, chars: -5}}",
            "chars: must be a whole number of at least 1",
        ),
        (
            "input: {length: {action: block, tokens: 0}}",
            "tokens: must be a whole number of at",
        ),
        ("input: {classifier: {name: shipped}}", "has a name and no action"),
        ("input: {classifier: {threshold: 0.5}}", "has a threshold and no action"),
        ("roles: {tool: {injection: {threshold: 0.5}}}", "has a threshold and no action"),
        ("input: {injection: null}", "injection: must be a mapping of names to values"),
        ("input: {injection: {1: 2}}", "injection: 1: must be text"),
        ("input: {blocklist: {action: block, words: ['']}}", "an empty word"),
        ("input: {blocklist: {action: block, patterns: ['(']}}", "pattern '('"),
        ("input: {blocklist: {action: block, words: tulip}}", "words: must be a list, not 'tulip'"),
        ("input: {moderation: {action: block, url: nowhere}}", "no http(s) URL"),
        ("message: {a: b}", "line 1: message is no text"),
        ("input: 2020-13-45", "is not YAML"),
        ("a: " + "[" * 3000, "is not YAML"),
        ("input: &a {injection: *a}", "*a stands within what it names"),
        ("- a", "holds no policy"),
        ("", "holds no policy"),
    ],
    ids=range(28),
)
def test_what_is_wrong_is_said_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        load_policy(path)
    said = refused.value.message
    assert words in said
    assert "\n" not in said
    assert "p.yaml" in said


KEYS = st.sampled_from(
    [
        *("input", "output", "routes", "roles", "message", "injection", "length", "blocklist"),
        *("personal", "action", "threshold", "kinds", "words", "patterns", "chars", "tokens"),
        *("url", "name", "hosts", "classifier", "moderation", "/v1/x", "user", "tool", "card"),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats()
    | st.dates()
    | st.sampled_from(["allow", "flag", "redact", "block", "", "(", "http://a/"])
    | st.text(max_size=5)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | LEAVES, inner, max_size=3),
    max_leaves=12,
)


@given(tree=st.dictionaries(KEYS, TREES, max_size=4))
@settings(deadline=None, max_examples=300)
def test_any_tree_is_a_policy_or_one_line(
    tree: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("policy") / "p.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True))
    try:
        policy = load_policy(path)
    except LlmopsError as error:
        assert error.exit_code == 2
        assert "\n" not in error.message
        return
    side = policy.input
    if side.of("moderation").action == side.of("classifier").action == "allow":
        assert Guard(policy).check_input("Hello 4111 1111 1111 1111").action in (
            *("allow", "flag"),
            *("redact", "block"),
        )
