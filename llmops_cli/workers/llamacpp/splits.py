"""The names that llama.cpp has for a tokenizer's splitting rule."""

from pathlib import Path
from typing import Any

from _shared.protocol import JobError
from llamacpp import split_patterns as patterns

# A pre-tokenizer's step as what is compared of it: its type, and what decides how it splits.
Step = tuple[str, str]

WHOLE: Step = ("ByteLevel", "words")
BYTES: Step = ("ByteLevel", "")
SINGLE_DIGITS: Step = ("Digits", "single")
RUNS_OF_DIGITS: Step = ("Digits", "runs")
RUNS_OF_SIGNS: Step = ("Punctuation", "Contiguous")
COVERING = (("Isolated", False), ("Removed", True))
"""Behaviour and inversion under which a pattern that covers a text splits it into its matches."""
SPLITS = {
    patterns.DBRX: "dbrx",
    patterns.QWEN2: "qwen2",
    patterns.QWEN35: "qwen35",
    patterns.TEKKEN: "tekken",
    patterns.O200K: "gpt-4o",
    patterns.SEED_CODER: "seed-coder",
    patterns.BLOOM: "bloom",
}
"""One pattern, then bytes. llama-bpe is dbrx that ignores merges."""


def _split(pattern: str) -> Step:
    return ("Split", pattern)


RULES: dict[tuple[Step, ...], str] = {
    (WHOLE,): "gpt-2",
    (SINGLE_DIGITS, WHOLE): "smollm",
    (RUNS_OF_SIGNS, WHOLE, RUNS_OF_DIGITS, _split(patterns.THREE_DIGITS)): "falcon",
    (
        _split(patterns.LINE_ENDS),
        _split(patterns.DEEPSEEK_WORD),
        _split(patterns.DEEPSEEK_SIGNS),
        _split(patterns.DEEPSEEK_LAST_SPACES),
        _split(patterns.DEEPSEEK_CJK),
        SINGLE_DIGITS,
        BYTES,
    ): "deepseek-llm",
    (
        _split(patterns.LINE_ENDS),
        _split(patterns.DEEPSEEK_CODER_WORD),
        _split(patterns.DEEPSEEK_CODER_SIGNS),
        _split(patterns.DEEPSEEK_CJK),
        SINGLE_DIGITS,
        BYTES,
    ): "deepseek-coder",
    (
        _split(patterns.UP_TO_THREE_DIGITS),
        _split(patterns.DEEPSEEK_3_CJK),
        _split(patterns.DEEPSEEK_3_WORD),
        BYTES,
    ): "deepseek-v3",
}
"""Several steps. All of them stand in llama.cpp's src/llama-vocab.cpp."""


ALIASES = {
    "gpt2": "gpt-2",
    "phi-2": "gpt-2",
    "exaone4": "gpt-2",
    "llama-bpe": "dbrx",
    "llama3": "dbrx",
    "llama-v3": "dbrx",
    "falcon3": "dbrx",
    "smaug-bpe": "dbrx",
    "chatglm-bpe": "dbrx",
    "glm4": "dbrx",
    "stablelm2": "qwen2",
    "deepseek-r1-qwen": "qwen2",
    "megrez": "qwen2",
    "hunyuan": "qwen2",
    "llama4": "gpt-4o",
    "starcoder": "smollm",
    "refact": "smollm",
    "command-r": "smollm",
    "codeshell": "smollm",
    "exaone": "smollm",
}
"""More names that llama.cpp splits alike by."""


def steps_named(name: str) -> tuple[Step, ...] | None:
    """How llama.cpp splits by a name; None for one that is not known here."""
    wanted = ALIASES.get(name, name)
    for steps, known in RULES.items():
        if known == wanted:
            return steps
    for pattern, known in SPLITS.items():
        if known == wanted:
            return (_split(pattern), BYTES)
    return None


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
        "--backend transformers serves it as it is",
    )


def _known_name(steps: list[dict[str, Any]], *, ignores_merges: bool) -> str | None:
    compared = [_compared(step) for step in steps]
    known = [step for step in compared if step is not None]
    if len(known) < len(compared):
        return None
    name = RULES.get(tuple(known))
    if len(known) == 2 and known[1] == BYTES:
        name = SPLITS.get(known[0][1])
    if name == "dbrx" and ignores_merges:
        return "llama-bpe"
    return name


def _compared(step: dict[str, Any]) -> Step | None:
    """None for a step that no rule here has."""
    kind = step.get("type")
    if kind == "ByteLevel":
        return WHOLE if step.get("use_regex", True) else BYTES
    if kind == "Digits":
        return SINGLE_DIGITS if step.get("individual_digits") else RUNS_OF_DIGITS
    if kind == "Punctuation":
        return ("Punctuation", str(step.get("behavior")))
    if kind == "Split":
        how = (step.get("behavior", "Isolated"), bool(step.get("invert")))
        pattern = step["pattern"].get("Regex")
        if how in COVERING and pattern is not None:
            return _split(_escaped(pattern))
    return None


def _escaped(pattern: str) -> str:
    """With the ends of lines as escapes, which some files have as themselves."""
    return pattern.replace("\r", r"\r").replace("\n", r"\n")
