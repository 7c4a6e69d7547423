"""What a load test sends along: secrets by variables, and none that would be saved."""

from __future__ import annotations

import pytest

from llmops_cli.bench.headers import headers_of
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.core.errors import UsageError


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": "s"},
        {"token": "s"},
        {"extra": {"auth": [{"client_secret": "s"}]}},
    ],
)
def test_a_secret_at_any_depth_of_the_body_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="would be saved"):
        headers_of(BenchRecipe(body=body), {})


@pytest.mark.parametrize(
    "body",
    [
        {"max_tokens": 3, "prompt_cache_key": "team-a"},
        {"response_format": {"properties": {"key": {"type": "string"}}}},
    ],
)
def test_fields_that_are_named_like_one_pass(body: dict[str, object]) -> None:
    assert headers_of(BenchRecipe(body=body), {}) == {}


@pytest.mark.parametrize("line", ["X-Team: Bearer abc", "X-Team: basic YTpi", "Cookie: a=b"])
def test_a_secret_header_that_is_written_out_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="would be saved"):
        headers_of(BenchRecipe(headers=[line]), {})


@pytest.mark.parametrize("value", ["a\nX-Admin: 1", "a\rb", "schlüssel", "a\x00b"])
def test_a_value_that_cannot_stand_in_a_header_is_refused_and_not_shown(value: str) -> None:
    recipe = BenchRecipe(headers=["X-Key: $K"])
    with pytest.raises(UsageError) as caught:
        headers_of(recipe, {"K": value})
    assert value not in str(caught.value)


def test_variables_are_filled_in() -> None:
    recipe = BenchRecipe(headers=["X-Key: $K"], api_key_env="MINE")
    found = headers_of(recipe, {"K": "one", "MINE": "two"})
    assert found == {"X-Key": "one", "Authorization": "Bearer two"}
