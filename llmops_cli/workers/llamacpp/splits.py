"""The names that llama.cpp has for a tokenizer's splitting rule."""

from pathlib import Path
from typing import Any

from _shared.protocol import JobError

ENDINGS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
TEKKEN_UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
TEKKEN_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (
    rf"{TEKKEN_UPPER}*{TEKKEN_LOWER}+|"
    rf"{TEKKEN_UPPER}+{TEKKEN_LOWER}*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Split patterns that llama.cpp implements under a name (src/llama-vocab.cpp). llama-bpe also
# ignores merges.
SPLITS = {
    CONTRACTIONS + r"\p{N}{1,3}|" + ENDINGS: "dbrx",
    CONTRACTIONS + r"\p{N}|" + ENDINGS: "qwen2",
    TEKKEN: "tekken",
}


def split_name(tokenizer: dict[str, Any], path: Path) -> str:
    """The llama.cpp name of this tokenizer's splitting rule.

    Raises: JobError for one without a name: a near match would tokenize text differently and
    nobody would notice.
    """
    pre = tokenizer.get("pre_tokenizer") or {}
    steps = pre.get("pretokenizers", [pre])
    model = tokenizer["model"]
    ignores_merges = bool(model.get("ignore_merges"))
    name = _known_name(steps, ignores_merges=ignores_merges)
    if name is not None:
        return name
    kinds = [str(step.get("type")) for step in steps]
    described = " + ".join(kinds)
    raise JobError(
        "UsageError",
        f"{path}: llama.cpp has no known name for this tokenizer's splitting rule ({described})",
        "convert with llama.cpp's convert_hf_to_gguf.py, then pass the .gguf file as MODEL",
    )


def _known_name(steps: list[dict[str, Any]], *, ignores_merges: bool) -> str | None:
    kinds = [step.get("type") for step in steps]
    if not kinds or kinds[-1] != "ByteLevel":
        return None
    last = steps[-1]
    splits_words = last.get("use_regex", True)
    if kinds == ["ByteLevel"] and splits_words:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"]:
        splits_digits = steps[0].get("individual_digits")
        if splits_digits and splits_words:
            return "smollm"
        return None
    if kinds == ["Split", "ByteLevel"] and not splits_words:
        splitting = steps[0]["pattern"]
        pattern = splitting.get("Regex", "")
        name = SPLITS.get(pattern)
        if name == "dbrx" and ignores_merges:
            return "llama-bpe"
        return name
    return None
