"""A GGUF file's vocabulary as a Hugging Face tokenizer. Refuses what would split text otherwise."""

from typing import Any

import gguf

from _shared.protocol import JobError
from llamacpp.chat_template import DEFAULT
from llamacpp.gguf_file import GgufFile
from llamacpp.gguf_tokens import SENTENCEPIECE, number_of, tokens_of, types_of
from llamacpp.hf_pieces import pieces_model
from llamacpp.splits import SINGLE_DIGITS, WHOLE, Step, steps_named

BYTE_LEVEL = "gpt2"
SPECIAL = (gguf.TokenType.CONTROL, gguf.TokenType.UNKNOWN)
ADDED = (*SPECIAL, gguf.TokenType.USER_DEFINED)

# tokenizer.json and tokenizer_config.json.
Json = dict[str, Any]


IGNORES_MERGES = frozenset(
    {
        "falcon3",
        "glm4",
        "chatglm-bpe",
        "llama-bpe",
        "llama-v3",
        "llama3",
        "tekken",
    }
)
"""Splitting rules by whose name llama.cpp takes a whole word that is a token."""
ADDS_BOS = frozenset({"falcon3", "llama-bpe", "llama-v3", "llama3", "tekken"})
"""Those by whose name it puts BOS first where the file does not tell."""


def tokenizer_of(file: GgufFile) -> Json:
    """tokenizer.json.

    Raises: JobError for a vocabulary of another kind than BPE, or whose splitting has no name.
    """
    kind = file.key("tokenizer.ggml.model")
    if kind == SENTENCEPIECE:
        parts = pieces_model(file)
    elif kind == BYTE_LEVEL:
        parts = _byte_level_model(file)
    else:
        message = f"{file.path}: its tokenizer is of kind '{kind}', and BPE has a way back"
        raise JobError("UsageError", message, "copy the original tokenizer")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(file),
        "post_processor": _post_processor(file),
        **parts,
    }


def _byte_level_model(file: GgufFile) -> Json:
    tokens = tokens_of(file)
    merges = file.key("tokenizer.ggml.merges", [])
    split = file.key("tokenizer.ggml.pre", "default")
    return {
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(split, file),
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
            "ignore_merges": split in IGNORES_MERGES,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in merges],
        },
    }


def adds_bos(file: GgufFile) -> bool:
    """As llama.cpp does, where the file does not tell too."""
    told = file.key("tokenizer.ggml.add_bos_token")
    if told is not None:
        return bool(told)
    if file.key("tokenizer.ggml.model") == SENTENCEPIECE:
        return True
    return file.key("tokenizer.ggml.pre", "default") in ADDS_BOS


def _post_processor(file: GgufFile) -> Json | None:
    """What is put around a text."""
    tokens = tokens_of(file)
    before = []
    after = []
    bos = number_of(file, "bos", tokens)
    if adds_bos(file) and bos is not None:
        before.append(bos)
    eos = number_of(file, "eos", tokens)
    if file.key("tokenizer.ggml.add_eos_token", False) and eos is not None:
        after.append(eos)
    put = [*before, *after]
    if not put:
        return None
    single = [_template_token(tokens[number]) for number in before]
    single.append({"Sequence": {"id": "A", "type_id": 0}})
    single += [_template_token(tokens[number]) for number in after]
    special = {}
    for number in put:
        token = tokens[number]
        special[token] = {"id": token, "ids": [number], "tokens": [token]}
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": special,
    }


def _template_token(token: str) -> Json:
    return {"SpecialToken": {"id": token, "type_id": 0}}


def _added_tokens(file: GgufFile) -> list[Json]:
    tokens = tokens_of(file)
    types = types_of(file, tokens)
    return [
        _added(token, number, kind)
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in ADDED
    ]


def _added(token: str, number: int, kind: int) -> Json:
    return {
        "id": number,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": kind in SPECIAL,
    }


def _pre_tokenizer(split: str, file: GgufFile) -> Json:
    """The splitting rule of llama.cpp's name, as `splits.split_name` would read it."""
    steps = steps_named(split)
    if steps is None:
        message = f"{file.path}: the splitting rule '{split}' has no way back here"
        raise JobError("UsageError", message, "copy the original tokenizer")
    made = [_step(step) for step in steps]
    if len(made) == 1:
        return made[0]
    return {"type": "Sequence", "pretokenizers": made}


def _step(step: Step) -> Json:
    kind, how = step
    if kind == "ByteLevel":
        return {
            "type": kind,
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": step == WHOLE,
        }
    if kind == "Digits":
        return {"type": kind, "individual_digits": step == SINGLE_DIGITS}
    if kind == "Punctuation":
        return {"type": kind, "behavior": how}
    return {
        "type": kind,
        "pattern": {"Regex": how},
        "behavior": "Isolated",
        "invert": False,
    }


def tokenizer_config_of(file: GgufFile) -> Json:
    """tokenizer_config.json, with the chat templates that the file has."""
    tokens = tokens_of(file)
    config: Json = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": adds_bos(file),
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": file.size("context_length"),
    }
    for field, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        number = number_of(file, key, tokens)
        if number is not None:
            config[f"{field}_token"] = tokens[number]
    templates = templates_of(file)
    if list(templates) == [DEFAULT]:
        config["chat_template"] = templates[DEFAULT]
    elif templates:
        config["chat_template"] = [
            {"name": name, "template": text} for name, text in templates.items()
        ]
    return config


def templates_of(file: GgufFile) -> dict[str, str]:
    """The file's chat templates by name, the usual one first."""
    found = {DEFAULT: file.key("tokenizer.chat_template")}
    for name in sorted(file.key("tokenizer.chat_templates", [])):
        found[name] = file.key(f"tokenizer.chat_template.{name}")
    return {name: text for name, text in found.items() if isinstance(text, str)}
