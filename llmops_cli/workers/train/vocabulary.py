"""A model and a tokenizer that go together."""

from typing import Any

from _shared.protocol import JobError
from train.settings import Settings


def match(model: Any, tokenizer: Any, settings: Settings) -> None:
    """A new model ends its answers with the tokenizer's token, not with its configuration's.

    Raises: JobError for a tokenizer with tokens that the model does not have.
    """
    rows = model.config.get_text_config().vocab_size
    if len(tokenizer) > rows:
        message = f"the tokenizer has {len(tokenizer):,} tokens and the model only {rows:,}"
        raise JobError("UsageError", message, "--tokenizer with the model's own, or another --init")
    if settings.model is not None:
        return
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        number = getattr(tokenizer, name)
        setattr(model.config, name, number)
        if model.generation_config is not None:
            setattr(model.generation_config, name, number)
