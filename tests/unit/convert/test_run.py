"""A conversion names the engines that load what it made."""

from __future__ import annotations

import pytest

from llmops_cli.convert.run import engines_that_load
from llmops_cli.models.truth import FaultKind, Truth, failed, unchecked


@pytest.mark.parametrize(
    ("check", "engines"),
    [
        (failed(FaultKind.NOT_LOADED, "it ended llama.cpp"), []),
        (failed(FaultKind.LOGITS_DIFFER, "far away"), ["llamacpp"]),
        (unchecked("--no-check"), ["llamacpp"]),
        (None, ["llamacpp"]),
    ],
)
def test_no_engine_is_named_for_a_file_that_did_not_load(
    check: Truth | None, engines: list[str]
) -> None:
    assert engines_that_load("gguf", check) == engines
