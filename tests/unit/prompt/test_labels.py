"""Prompts of one label, told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt.labels import told_apart

SOURCES = st.builds(
    PromptSource,
    label=st.sampled_from(["a", "b"]),
    text=st.sampled_from(["x", "y"]),
    where=st.sampled_from(["one.md", "two.md"]),
    version=st.sampled_from(["", "1", "2"]),
)


@given(st.lists(SOURCES, min_size=1, max_size=6))
def test_no_two_have_one_label_or_the_user_is_told(prompts: list[PromptSource]) -> None:
    try:
        found = told_apart(prompts)
    except UsageError:
        assert len({(each.label, each.where) for each in prompts}) < len(prompts)
        return
    assert len({each.label for each in found}) == len(prompts)
    assert [each.text for each in found] == [each.text for each in prompts]
    assert all(
        (each.name or each.label) == old.label for each, old in zip(found, prompts, strict=True)
    )


def test_a_label_that_one_prompt_has_stays_as_it_is() -> None:
    prompts = [
        PromptSource(label="support", text="a", version="12ab"),
        PromptSource(label="support", text="b", version="34cd"),
        PromptSource(label="other", text="c"),
    ]
    labels = [each.label for each in told_apart(prompts)]
    assert labels == ["support@12ab", "support@34cd", "other"]


def test_the_same_prompt_from_two_places_is_told_by_its_place() -> None:
    prompts = [
        PromptSource(label="support", text="a", where="old.md", version="12ab"),
        PromptSource(label="support", text="a", where="new.md", version="12ab"),
    ]
    labels = [each.label for each in told_apart(prompts)]
    assert labels == ["support@12ab old.md", "support@12ab new.md"]


def test_one_prompt_named_twice_is_refused() -> None:
    twice = PromptSource(label="support", text="a", where="old.md", version="12ab")
    with pytest.raises(UsageError, match="named 2 times"):
        told_apart([twice, twice])
