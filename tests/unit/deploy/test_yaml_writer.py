"""What is written is read again as it was, with its origins as comments."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as some

from llmops_cli.deploy.knob import Knob, plain
from llmops_cli.deploy.yaml_writer import as_yaml

TEXTS = some.text(max_size=20) | some.sampled_from(["on", "1e3", "a: b", "- x", "a\nb\n", "~", ""])
NUMBERS = some.integers() | some.floats(allow_nan=False)
SCALARS = some.none() | some.booleans() | NUMBERS | TEXTS
VALUES = some.recursive(
    SCALARS | some.builds(Knob, SCALARS, some.text(max_size=9)),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(some.dictionaries(TEXTS, VALUES, min_size=1, max_size=3))
def test_reading_gives_what_was_written(value: dict[str, Any]) -> None:
    assert yaml.safe_load(as_yaml(value)) == plain(value)


def test_an_origin_stands_beside_its_number() -> None:
    assert as_yaml({"replicas": Knob(3, "the file's")}) == "replicas: 3  # the file's\n"


def test_what_only_some_parsers_read_as_a_truth_is_quoted() -> None:
    assert as_yaml({"args": ["y", "N", "yes"]}) == 'args:\n  - "y"\n  - "N"\n  - "yes"\n'
