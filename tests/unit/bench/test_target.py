"""Where a load test sends: the server's own path, or the one that the recipe names."""

from __future__ import annotations

import pytest

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.target import resolve_target
from llmops_cli.core.errors import UsageError
from llmops_cli.core.resolve import resolve

URL = "http://127.0.0.1:9/prefix"
AZURE = "/openai/deployments/m/chat/completions?api-version=2024-06-01"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "/prefix/v1/chat/completions"),
        ({"api": "completions"}, "/prefix/v1/completions"),
        ({"path": AZURE}, f"/prefix{AZURE}"),
    ],
)
def test_requests_go_to_the_recipes_path(given: dict[str, object], path: str) -> None:
    recipe = resolve(BenchRecipe, command="bench", flags={"url": URL, **given}).recipe
    assert resolve_target(URL, recipe, {}).path == path


@pytest.mark.parametrize("path", ["v1/chat", "/a b", "/a?api_key=x", "/a\r\nX: y", "/é"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match=r"--path|'api_key'"):
        resolve(BenchRecipe, command="bench", flags={"url": URL, "path": path})
