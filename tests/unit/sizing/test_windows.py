"""How far layers look back, in every spelling of the last years."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.windows import windows

WIDTH = 512
WHOLE = None


@pytest.mark.parametrize(
    ("model_type", "config", "expected"),
    [
        ("gemma3_text", {}, [WIDTH] * 5 + [WHOLE, WIDTH, WIDTH]),
        ("gemma3_text", {"sliding_window_pattern": 2}, [WIDTH, WHOLE] * 4),
        ("gemma3_text", {"_sliding_window_pattern": 4}, ([WIDTH] * 3 + [WHOLE]) * 2),
        ("exaone4", {"sliding_window_pattern": "LLLG"}, ([WIDTH] * 3 + [WHOLE]) * 2),
        ("exaone4", {"sliding_window_pattern": "LG"}, [WIDTH, WHOLE] * 4),
        ("cohere2", {}, ([WIDTH] * 3 + [WHOLE]) * 2),
        ("mistral", {}, [WIDTH] * 8),
        ("mistral", {"sliding_window": None}, [WHOLE] * 8),
        ("llama", {}, [WHOLE] * 8),
        ("qwen2", {}, [WHOLE] * 8),
        ("qwen2", {"use_sliding_window": False, "max_window_layers": 2}, [WHOLE] * 8),
        (
            "qwen2",
            {"use_sliding_window": True, "max_window_layers": 6},
            [WHOLE] * 6 + [WIDTH] * 2,
        ),
        (
            "llama",
            {"layer_types": ["sliding_attention", "full_attention"] * 4},
            [WIDTH, WHOLE] * 4,
        ),
        (
            "llama",
            {
                "layer_types": ["chunked_attention", "full_attention"] * 4,
                "attention_chunk_size": 64,
            },
            [64, WHOLE] * 4,
        ),
        (
            "qwen2",
            {"use_sliding_window": False, "layer_types": ["sliding_attention"] * 8},
            [WHOLE] * 8,
        ),
    ],
)
def test_each_spelling_is_the_windows_of_its_layers(
    model_type: str, config: dict[str, object], expected: list[int | None]
) -> None:
    found = windows({"sliding_window": WIDTH, **config}, model_type=model_type, count=8)
    assert found == expected


def test_a_list_of_another_length_is_refused() -> None:
    config = {"sliding_window": WIDTH, "layer_types": ["sliding_attention"]}
    with pytest.raises(UsageError, match="1 'layer_types' for 8 layers"):
        windows(config, model_type="llama", count=8)
