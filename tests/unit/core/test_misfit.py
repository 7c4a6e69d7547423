"""What does not fit is told with its place, what it must be and what was given, never in
msgspec's words.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import Positive, PositiveNumber, Share, Streams
from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.resolve import resolve
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.generate.recipe import GenerateRecipe
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.redteam.recipe import RedteamRecipe
from llmops_cli.redteam.suite import Suite
from llmops_cli.train.recipe import TrainRecipe

LIBRARY_WORDS = ("Expected", "`", "$", " int,", "str,", " null", "array", "object")


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    share: Share | None = None
    action: Literal["block", "allow"] = "block"


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    inner: Inner = Inner()
    many: dict[str, list[Inner]] = {}
    pair: tuple[int, str] | None = None


@pytest.mark.parametrize(
    ("value", "kind", "told", "hint"),
    [
        ("x", Streams, "must be a whole number from 1 to 20,000, not 'x'", None),
        (0, Positive, "must be a whole number of at least 1, not 0", None),
        (0, PositiveNumber, "must be a number above 0 and at most 10,000,000, not 0", None),
        (True, bool | str, None, None),
        ([1, "x"], list[int], "[1]: must be a whole number, not 'x'", None),
        ({1: 2}, dict[str, int], "1: must be text, not a number", None),
        ({}, Outer, "name is missing", None),
        ({"name": 5}, Outer, "name: must be text, not a number", None),
        ({"name": None}, Outer, "name: must be text, and nothing stands there", None),
        (
            {"name": "a", "inner": {"share": 7}},
            Outer,
            "inner.share: must be a number from 0 to 1, not 7",
            None,
        ),
        (
            {"name": "a", "many": {"b": [{}, {"acton": "block"}]}},
            Outer,
            "many.b[1].acton: unknown field",
            "did you mean 'action'?",
        ),
        (
            {"name": "a", "inner": {"action": "blok"}},
            Outer,
            "inner.action: unknown value 'blok'",
            "did you mean 'block'?",
        ),
        ({"name": "a", "pair": [1]}, Outer, "pair: must be a list of 2, not a list of 1", None),
        ({"name": "a", "pair": ["b", 1]}, Outer, "pair[0]: must be a whole number, not 'b'", None),
        ("long" * 99, int, "must be a whole number, not 396 characters of text", None),
    ],
)
def test_a_misfit_is_told_in_the_users_words(
    value: object, kind: Any, told: str | None, hint: str | None
) -> None:
    misfit = misfit_of(value, kind)
    assert (misfit and misfit.told) == told
    assert (misfit and misfit.hint) == hint


def test_what_another_wrote_is_not_repeated() -> None:
    for value in ("a secret", 42, ["a secret"]):
        misfit = misfit_of({"stream": value}, dict[str, bool], shows_values=False)
        assert misfit is not None
        assert "secret" not in misfit.told
        assert "42" not in misfit.told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "inner", "many", "pair", "share", "x"]), inner)
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from([Outer, GatewayConfig, Suite, dict[str, list[Inner]], list[float]]))
def test_there_is_a_misfit_exactly_where_msgspec_refuses(value: object, kind: Any) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        misfit = misfit_of(value, kind)
        assert misfit is not None
        assert "\n" not in misfit.told or "\n" in json.dumps(value)
    else:
        assert misfit_of(value, kind) is None


RECIPES = [
    BenchRecipe,
    GenerateRecipe,
    QuantizeRecipe,
    RedteamRecipe,
    TrainRecipe,
]
WRONG = ("x", -1, [None], {"a": [1]})


@pytest.mark.parametrize("kind", RECIPES, ids=lambda kind: kind.__name__)
def test_no_field_of_a_recipe_is_refused_in_a_librarys_words(kind: type[msgspec.Struct]) -> None:
    refused = 0
    for name, wrong in zip(kind.__struct_fields__, itertools.cycle(WRONG), strict=False):
        try:
            resolve(kind, command="bench", file={name: wrong})
        except UsageError as error:
            refused += 1
            _, _, reason = error.message.partition(" (file)")
            for word in LIBRARY_WORDS:
                assert word not in reason, error.message
    assert refused > len(kind.__struct_fields__) / 2
