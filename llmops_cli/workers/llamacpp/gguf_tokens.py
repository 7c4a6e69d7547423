"""The tokens that a GGUF file lists, and which of them have a role."""

from _shared.protocol import JobError
from llamacpp.gguf_file import GgufFile

REPAIR = "copy the original folder"
SENTENCEPIECE = "llama"
"""As GGUF calls that kind of tokenizer."""
USUAL = {"bos": 1, "eos": 2, "unknown": 0}
"""Of SentencePiece, what llama.cpp takes where the file does not tell."""


def tokens_of(file: GgufFile) -> list[str]:
    """By number. Raises: JobError for a file without any."""
    found = file.key("tokenizer.ggml.tokens")
    if not isinstance(found, list) or not found:
        raise JobError("UsageError", f"{file.path} has no list of tokens", REPAIR)
    return found


def types_of(file: GgufFile, tokens: list[str]) -> list[int]:
    """Of each token. Raises: JobError unless there is one for each."""
    found = file.key("tokenizer.ggml.token_type")
    if not isinstance(found, list) or len(found) != len(tokens):
        message = f"{file.path} does not tell the types of its {len(tokens)} tokens"
        raise JobError("UsageError", message, REPAIR)
    return found


def number_of(
    file: GgufFile,
    role: str,
    tokens: list[str],
) -> int | None:
    """Of the token with this role: bos, padding, ...; None where there is none.

    A number beyond the vocabulary counts as not told, as in llama.cpp: files write -1 for none.
    """
    usual = USUAL.get(role) if file.key("tokenizer.ggml.model") == SENTENCEPIECE else None
    for found in (file.key(f"tokenizer.ggml.{role}_token_id"), usual):
        if type(found) is int and 0 <= found < len(tokens):
            return found
    return None
