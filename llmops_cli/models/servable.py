"""What a folder must be before an engine is started for it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.python_json import object_in
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.models.tensors import tensors_of

ENCODER_DECODERS = frozenset(
    {
        "bart",
        "blenderbot",
        "led",
        "longt5",
        "m2m_100",
        "marian",
        "mbart",
        "mt5",
        "pegasus",
        "prophetnet",
        "speech_to_text",
        "t5",
        "umt5",
        "whisper",
    }
)


class _Config(msgspec.Struct, frozen=True):
    """What is read of a config.json."""

    model_type: str | None = None
    is_encoder_decoder: bool | None = None


def require_servable(folder: Path) -> None:
    """Raises: UsageError for a model that answers no prompts, or weights that are not whole."""
    config = _config_of(folder / "config.json")
    if config.is_encoder_decoder or config.model_type in ENCODER_DECODERS:
        raise UsageError(
            f"{folder} is an encoder-decoder model ({config.model_type or 'by its config'}), "
            "which no engine here serves",
            hint="a model that continues its prompt, such as Llama, Qwen or Mistral",
        )
    tensors_of(folder)


def _config_of(path: Path) -> _Config:
    """Raises: UsageError for what is no JSON object."""
    raw = path.read_bytes()
    try:
        return msgspec.convert(object_in(raw), _Config)
    except UNREADABLE:
        reason = wrong_in(raw, _Config)
        raise UsageError(f"{path} cannot be used: {reason}", hint="make it again") from None
