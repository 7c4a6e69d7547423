"""Shapes of well-known dense models of 2024 to 2026, towers for pictures among them."""

from __future__ import annotations

from typing import Any

from llmops_cli.sizing.public_shapes import HEAD_64, HEAD_128, TIED, Config, shape, vision

QWEN2_5_TOWER = {
    "model_type": "qwen2_5_vl",
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
}
QWEN3_TOWER = {
    "model_type": "qwen3_vl",
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_position_embeddings": 2304,
    "patch_size": 16,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "deepstack_visual_indexes": [8, 16, 24],
}
QWEN3_SMALL_TOWER = {
    **QWEN3_TOWER,
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "deepstack_visual_indexes": [5, 11, 17],
}
PIXTRAL_TOWER = {
    "model_type": "pixtral",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "patch_size": 14,
    "image_size": 1540,
}
MLLAMA_TOWER = {
    "model_type": "mllama_vision_model",
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_global_layers": 8,
    "image_size": 560,
    "patch_size": 14,
    "max_num_tiles": 4,
    "vision_output_dim": 7680,
}
FAR_CROSS_LAYERS = list(range(3, 100, 5))


def _qwen2_5_vl(
    sizes: str,
    width: int = 3420,
    **more: Any,  # Any: a config's values
) -> dict[str, Any]:
    text = shape("qwen2_5_vl_text", sizes, **more)
    tower = {
        **QWEN2_5_TOWER,
        "intermediate_size": width,
        "out_hidden_size": text["hidden_size"],
    }
    return vision("qwen2_5_vl", text, tower)


def _qwen3_vl(sizes: str, tower: Config, **more: Any) -> dict[str, Any]:  # Any: a config's values
    text = shape("qwen3_vl_text", sizes, **HEAD_128, **more)
    return vision("qwen3_vl", text, {**tower, "out_hidden_size": text["hidden_size"]})


def _mistral3(sizes: str) -> dict[str, Any]:  # Any: a config's values
    text = shape("mistral", sizes, **HEAD_128)
    return vision("mistral3", text, PIXTRAL_TOWER, spatial_merge_size=2)


def _mllama(sizes: str, crossing: list[int]) -> dict[str, Any]:  # Any: a config's values
    text = shape("mllama_text_model", sizes, cross_attention_layers=crossing)
    return vision("mllama", text, MLLAMA_TOWER)


def _olmo3(sizes: str) -> dict[str, Any]:  # Any: a config's values
    return shape("olmo3", sizes, sliding_window=4096)


RECENT: dict[str, Config] = {
    "smollm2-360m": shape("llama", "960 2560 32 15 5 49152", **TIED),
    "smollm2-1.7b": shape("llama", "2048 8192 24 32 32 49152", **TIED),
    "smollm3-3b": shape("smollm3", "2048 11008 36 16 4 128256", **TIED),
    "falcon3-1b": shape("llama", "2048 8192 18 8 4 131072", head_dim=256),
    "falcon3-3b": shape("llama", "3072 9216 22 12 4 131072", head_dim=256),
    "falcon3-7b": shape("llama", "3072 23040 28 12 4 131072", head_dim=256),
    "falcon3-10b": shape("llama", "3072 23040 40 12 4 131072", head_dim=256),
    "olmo-2-1b": shape("olmo2", "2048 8192 16 16 16 100352"),
    "olmo-2-7b": shape("olmo2", "4096 11008 32 32 32 100352"),
    "olmo-2-13b": shape("olmo2", "5120 13824 40 40 40 100352"),
    "olmo-2-32b": shape("olmo2", "5120 27648 64 40 8 100352"),
    "olmo-3-7b": _olmo3("4096 11008 32 32 32 100278"),
    "olmo-3-32b": _olmo3("5120 27648 64 40 8 100278"),
    "granite-3.1-2b": shape("granite", "2048 8192 40 32 8 49155", **TIED),
    "mistral-small-3.1-24b": _mistral3("5120 32768 40 32 8 131072"),
    "ministral-3-3b": shape("ministral3", "3072 9216 26 32 8 131072", **TIED, **HEAD_128),
    "ministral-3-8b": shape("ministral3", "4096 14336 34 32 8 131072", **HEAD_128),
    "ministral-3-14b": shape("ministral3", "5120 16384 40 32 8 131072", **HEAD_128),
    "phi-4-mini": shape("phi3", "3072 8192 32 24 8 200064", **TIED),
    "gemma-3-270m": shape(
        "gemma3_text", "640 2048 18 4 1 262144", **TIED, head_dim=256, sliding_window=512
    ),
    "command-r7b": shape("cohere2", "4096 14336 32 32 8 256000", **TIED, sliding_window=4096),
    "command-a": shape("cohere2", "12288 36864 64 96 8 256000", **TIED, sliding_window=4096),
    "glm-4-32b": shape("glm4", "6144 23040 61 48 2 151552", **HEAD_128, attention_bias=False),
    "exaone-4.0-1.2b": shape("exaone4", "2048 4096 30 32 8 102400", **TIED, **HEAD_64),
    "exaone-4.0-32b": shape(
        "exaone4", "5120 27392 64 40 8 102400", **HEAD_128, sliding_window=4096
    ),
    "seed-oss-36b": shape("seed_oss", "5120 27648 64 80 8 155136", **HEAD_128, attention_bias=True),
    "ernie-4.5-0.3b": shape("ernie4_5", "1024 3072 18 16 2 103424", **TIED, **HEAD_128),
    "apertus-8b": shape("apertus", "4096 21504 32 32 8 131072"),
    "apertus-70b": shape("apertus", "8192 43008 80 64 8 131072"),
    "qwen2.5-vl-3b": _qwen2_5_vl("2048 11008 36 16 2 151936", **TIED),
    "qwen2.5-vl-7b": _qwen2_5_vl("3584 18944 28 28 4 152064"),
    "qwen2.5-vl-32b": _qwen2_5_vl("5120 27648 64 40 8 152064", width=3456),
    "qwen2.5-vl-72b": _qwen2_5_vl("8192 29568 80 64 8 152064", width=3456),
    "qwen3-vl-2b": _qwen3_vl("2048 6144 28 16 8 151936", QWEN3_SMALL_TOWER, **TIED),
    "qwen3-vl-4b": _qwen3_vl("2560 9728 36 32 8 151936", QWEN3_SMALL_TOWER, **TIED),
    "qwen3-vl-8b": _qwen3_vl("4096 12288 36 32 8 151936", QWEN3_TOWER),
    "qwen3-vl-32b": _qwen3_vl("5120 25600 64 64 8 151936", QWEN3_TOWER),
    "llama-3.2-11b-vision": _mllama("4096 14336 40 32 8 128256", [3, 8, 13, 18, 23, 28, 33, 38]),
    "llama-3.2-90b-vision": _mllama("8192 28672 100 64 8 128256", FAR_CROSS_LAYERS),
}
