"""A Hugging Face tokenizer as GGUF metadata. Refuses what llama.cpp would tokenize differently."""

import json
from pathlib import Path
from typing import Any

import gguf

from _shared.protocol import JobError

ENDINGS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
TEKKEN_WORD = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (
    rf"{TEKKEN_WORD}*[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]+|{TEKKEN_WORD}+[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Split patterns that llama.cpp implements under a name (src/llama-vocab.cpp). llama-bpe also
# ignores merges.
SPLITS = {
    CONTRACTIONS + r"\p{N}{1,3}|" + ENDINGS: "dbrx",
    CONTRACTIONS + r"\p{N}|" + ENDINGS: "qwen2",
    TEKKEN: "tekken",
}
SPECIAL_TYPES = ("bos", "eos", "unk", "sep", "pad", "mask")


def add_vocab(
    writer: gguf.GGUFWriter, folder: Path, *, vocab_size: int, space_prefix: bool | None
) -> None:
    """Writes tokens, types, merges or scores, special ids and the chat template.

    `space_prefix` None means: as the tokenizer's own normalizer says.
    """
    path = folder / "tokenizer.json"
    if (folder / "tokenizer.model").exists():
        add_sentencepiece(
            writer, folder, vocab_size, True if space_prefix is None else space_prefix
        )
        merges = False
    elif path.exists():
        tokenizer = json.loads(path.read_text())
        model = tokenizer["model"]
        if model.get("type", "BPE") != "BPE":
            raise JobError(
                "UsageError",
                f"{path}: a {model.get('type')} tokenizer is not supported",
                "BPE and SentencePiece are",
            )
        merges = not model.get("byte_fallback")
        if merges:
            add_byte_level(writer, tokenizer, vocab_size, path)
        else:
            add_byte_fallback(writer, tokenizer, vocab_size, space_prefix)
    else:
        raise JobError(
            "UsageError",
            f"{folder} has no tokenizer.json or tokenizer.model",
            "copy the model's tokenizer there",
        )
    special = gguf.SpecialVocab(
        folder, load_merges=merges, special_token_types=SPECIAL_TYPES, n_vocab=vocab_size
    )
    special.add_special_token["bos"] = adds_bos(folder)
    special.add_to_gguf(writer, quiet=True)


def adds_bos(folder: Path) -> bool:
    """Whether the tokenizer itself puts BOS first; llama.cpp would otherwise guess from the
    vocabulary's kind.
    """
    config_path = folder / "tokenizer_config.json"
    path = folder / "tokenizer.json"
    config = json.loads(config_path.read_text()) if config_path.exists() else {}
    if isinstance(config.get("add_bos_token"), bool):
        return bool(config["add_bos_token"])
    if not path.exists():
        return True  # a bare SentencePiece model: Llama, Mistral and Gemma all start with BOS
    post = json.loads(path.read_text()).get("post_processor") or {}
    steps = post.get("processors", [post])
    templates = [step["single"] for step in steps if step.get("type") == "TemplateProcessing"]
    return any(template and "SpecialToken" in template[0] for template in templates)


def base_tokens(vocab_size: int) -> tuple[list[str], list[int]]:
    """A vocabulary of unused padding, to be overwritten where the tokenizer has tokens."""
    return [f"[PAD{i}]" for i in range(vocab_size)], [int(gguf.TokenType.UNUSED)] * vocab_size


def overlay_added(tokens: list[str], types: list[int], added: list[dict[str, Any]]) -> None:
    for entry in added:
        if entry["id"] < len(tokens):
            text = entry["content"]
            special = entry.get("special", False)
            # llama.cpp compares user-defined tokens with raw text, so SentencePiece's space mark is
            # undone.
            tokens[entry["id"]] = text if special else text.replace("▁", " ")
            types[entry["id"]] = int(
                gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED
            )


def add_byte_level(
    writer: gguf.GGUFWriter, tokenizer: dict[str, Any], vocab_size: int, path: Path
) -> None:
    tokens, types = base_tokens(vocab_size)
    for text, token in tokenizer["model"]["vocab"].items():
        tokens[token], types[token] = text, int(gguf.TokenType.NORMAL)
    overlay_added(tokens, types, tokenizer.get("added_tokens", []))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer_name(tokenizer, path))
    writer.add_token_list(tokens)
    writer.add_token_types(types)


def pre_tokenizer_name(tokenizer: dict[str, Any], path: Path) -> str:
    """The llama.cpp name of this tokenizer's splitting rule.

    Raises JobError for one without a name: a near match would tokenize text differently and nobody
    would notice.
    """
    pre = tokenizer.get("pre_tokenizer") or {}
    steps = pre.get("pretokenizers", [pre])
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if (
        kinds == ["Digits", "ByteLevel"]
        and steps[0].get("individual_digits")
        and steps[1].get("use_regex", True)
    ):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not steps[1].get("use_regex", True):
        name = SPLITS.get(steps[0]["pattern"].get("Regex", ""))
        if name == "dbrx" and tokenizer["model"].get("ignore_merges"):
            return "llama-bpe"
        if name:
            return name
    raise JobError(
        "UsageError",
        f"{path}: llama.cpp has no known name for this tokenizer's splitting rule ({' + '.join(map(str, kinds))})",
        "convert with llama.cpp's convert_hf_to_gguf.py, then pass the .gguf file as MODEL",
    )


def add_byte_fallback(
    writer: gguf.GGUFWriter, tokenizer: dict[str, Any], vocab_size: int, space_prefix: bool | None
) -> None:
    """SentencePiece BPE stored as tokenizer.json: a piece's score is minus the rank of the merge
    that makes it.
    """
    model = tokenizer["model"]
    tokens, types = base_tokens(vocab_size)
    scores = [-1e6] * vocab_size
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(model["merges"]):
        ranks.setdefault(
            "".join(merge) if isinstance(merge, list) else merge.replace(" ", ""), rank
        )
    for text, token in model["vocab"].items():
        tokens[token] = text
        scores[token] = -float(ranks.get(text, len(ranks)))
        is_byte = len(text) == 6 and text.startswith("<0x") and text.endswith(">")
        types[token] = int(gguf.TokenType.BYTE if is_byte else gguf.TokenType.NORMAL)
    overlay_added(tokens, types, tokenizer.get("added_tokens", []))
    if model.get("unk_token") in model["vocab"]:
        types[model["vocab"][model["unk_token"]]] = int(gguf.TokenType.UNKNOWN)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_add_space_prefix(prepends_space(tokenizer) if space_prefix is None else space_prefix)


def prepends_space(tokenizer: dict[str, Any]) -> bool:
    normalizer = tokenizer.get("normalizer") or {}
    pre = tokenizer.get("pre_tokenizer") or {}
    steps = normalizer.get("normalizers", [normalizer])
    return any(s.get("type") == "Prepend" for s in steps) or pre.get("prepend_scheme") in (
        "always",
        "first",
    )


def add_sentencepiece(
    writer: gguf.GGUFWriter, folder: Path, vocab_size: int, space_prefix: bool
) -> None:
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor()
    pieces.LoadFromFile(str(folder / "tokenizer.model"))
    tokens, types = base_tokens(vocab_size)
    scores = [-10000.0] * vocab_size
    kinds = (
        (pieces.IsUnknown, gguf.TokenType.UNKNOWN),
        (pieces.IsControl, gguf.TokenType.CONTROL),
        (pieces.IsUnused, gguf.TokenType.UNUSED),
        (pieces.IsByte, gguf.TokenType.BYTE),
    )
    for token in range(min(pieces.vocab_size(), vocab_size)):
        tokens[token], scores[token] = pieces.IdToPiece(token), pieces.GetScore(token)
        types[token] = int(
            next((kind for test, kind in kinds if test(token)), gguf.TokenType.NORMAL)
        )
    config_path = folder / "tokenizer_config.json"
    path = folder / "tokenizer.json"
    config = json.loads(config_path.read_text()) if config_path.exists() else {}
    added = [{"id": int(i), **entry} for i, entry in config.get("added_tokens_decoder", {}).items()]
    if path.exists():
        added += json.loads(path.read_text()).get("added_tokens", [])
    keep = [entry for entry in added if types[entry["id"]] in (1, 3, 4, 5)] if added else []
    overlay_added(tokens, types, keep)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_add_space_prefix(space_prefix)
