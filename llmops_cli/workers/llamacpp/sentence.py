"""What a GGUF file says of a model's vectors, in keys of llama.cpp's and of our own."""

from pathlib import Path
from typing import Any

from _shared.protocol import JobError
from _shared.sentence_model import SentenceModel, UnknownModule, read_sentence_model

NORMALIZES_KEY = "llmops.embedding.normalizes"
MAX_TOKENS_KEY = "llmops.embedding.max_tokens"


def sentence_model_of(folder: Path) -> SentenceModel:
    """Raises: JobError for vectors that are made as nothing here does it."""
    try:
        return read_sentence_model(folder)
    except UnknownModule as error:
        hint = "sentence-transformers itself can serve it; pass its server as --url"
        raise JobError("UsageError", str(error), hint) from error


# Any: a GGUFWriter of the package gguf, or of llama.cpp's own copy of it.
def add_own_keys(writer: Any, model: SentenceModel) -> None:
    """What llama.cpp has no key for."""
    writer.add_bool(NORMALIZES_KEY, model.normalizes)
    if model.max_tokens is not None:
        writer.add_uint32(MAX_TOKENS_KEY, model.max_tokens)
