"""A GGUF file's vocabulary as a Hugging Face tokenizer. Refuses what would split text otherwise."""

from typing import Any

import gguf

from _shared.protocol import JobError
from llamacpp.gguf_file import GgufFile
from llamacpp.splits import SPLITS

BYTE_LEVEL = "gpt2"
GPT2_NAMES = ("gpt-2", "gpt2", "default")

# tokenizer.json and tokenizer_config.json.
Json = dict[str, Any]


def tokenizer_of(file: GgufFile) -> Json:
    """tokenizer.json.

    Raises: JobError for a vocabulary that is no byte-level BPE, or whose splitting has no name.
    """
    kind = file.key("tokenizer.ggml.model")
    if kind != BYTE_LEVEL:
        message = (
            f"{file.path}: its tokenizer is of kind '{kind}', and byte-level BPE has a way back"
        )
        raise JobError("UsageError", message, "copy the original tokenizer")
    tokens = file.key("tokenizer.ggml.tokens")
    types = file.key("tokenizer.ggml.token_type")
    merges = file.key("tokenizer.ggml.merges", [])
    split = file.key("tokenizer.ggml.pre", "default")
    vocabulary = {token: number for number, token in enumerate(tokens)}
    added = [
        _added(token, number, kind)
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(split, file),
        "post_processor": None,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": split == "llama-bpe",
            "vocab": vocabulary,
            "merges": [merge.split(" ") for merge in merges],
        },
    }


def _added(token: str, number: int, kind: int) -> Json:
    return {
        "id": number,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": kind == gguf.TokenType.CONTROL,
    }


def _pre_tokenizer(split: str, file: GgufFile) -> Json:
    """The splitting rule of llama.cpp's name, as `splits.split_name` would read it."""
    whole = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    if split in GPT2_NAMES:
        return {**whole, "use_regex": True}
    if split == "smollm":
        digits = {"type": "Digits", "individual_digits": True}
        return {"type": "Sequence", "pretokenizers": [digits, {**whole, "use_regex": True}]}
    pattern = _pattern_of(split)
    if pattern is None:
        message = f"{file.path}: the splitting rule '{split}' has no way back here"
        raise JobError("UsageError", message, "copy the original tokenizer")
    cut = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    return {"type": "Sequence", "pretokenizers": [cut, {**whole, "use_regex": False}]}


def _pattern_of(split: str) -> str | None:
    wanted = "dbrx" if split == "llama-bpe" else split
    for pattern, name in SPLITS.items():
        if name == wanted:
            return pattern
    return None


def tokenizer_config_of(file: GgufFile) -> Json:
    """tokenizer_config.json, with the chat template if the file has one."""
    tokens = file.key("tokenizer.ggml.tokens")
    config: Json = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": bool(file.key("tokenizer.ggml.add_bos_token", False)),
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": file.size("context_length"),
    }
    for field, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        number = file.key(f"tokenizer.ggml.{key}_token_id")
        if number is not None:
            config[f"{field}_token"] = tokens[number]
    template = file.key("tokenizer.chat_template")
    if template is not None:
        config["chat_template"] = template
    return config
