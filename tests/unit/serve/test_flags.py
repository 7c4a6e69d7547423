"""A gateway's file from the command line."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.serve.flags import gateway_config
from llmops_cli.serve.recipe import ServeRecipe

FILE = "upstreams: {one: {url: http://127.0.0.1:9/v1}}\nguard: policy.yaml\n"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("input: [broken", "is not YAML"),
        ("- a list", "holds no policy"),
        ("inputs: {}", "unknown key of the policy"),
        ("input: {injection: {action: blokc}}", "blokc"),
        ("input: {moderation: {action: block}}", "url"),
    ],
)
def test_a_policy_that_cannot_be_used_is_told_before_the_start(
    policy: str, said: str, tmp_path: Path
) -> None:
    """Beside the file, whatever folder the command runs in."""
    file = tmp_path / "gateway.yaml"
    file.write_text(FILE)
    (tmp_path / "policy.yaml").write_text(policy)
    recipe = ServeRecipe(config=str(file), check=True)
    with pytest.raises(UsageError) as raised:
        gateway_config(recipe, defaultdict(lambda: "default"))
    assert said in f"{raised.value.message} {raised.value.hint}"
    (tmp_path / "policy.yaml").write_text("input: {injection: {action: flag}}\n")
    assert gateway_config(recipe, defaultdict(lambda: "default")).guard == "policy.yaml"
