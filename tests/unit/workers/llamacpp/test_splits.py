"""The splitting rules of well-known tokenizers have the names that llama.cpp gives them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from _shared.protocol import JobError
from llamacpp import split_patterns as patterns
from llamacpp.splits import split_name

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
WORDS = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}
CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"


def cut(pattern: str, behavior: str = "Isolated", *, invert: bool = False) -> dict[str, Any]:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": behavior,
        "invert": invert,
    }


def named(*steps: dict[str, Any]) -> str:
    tokenizer = {
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)},
        "model": {"type": "BPE"},
    }
    return split_name(tokenizer, Path("tokenizer.json"))


O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK_3 = (
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
    "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
    "\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ([cut(O200K), BYTES], "gpt-4o"),
        ([cut(O200K, "Removed", invert=True), BYTES], "gpt-4o"),
        ([cut(r"\p{N}{1,3}"), cut(CJK), cut(DEEPSEEK_3), BYTES], "deepseek-v3"),
        (
            [
                cut("[\r\n]"),
                cut(r"\s?\p{L}+"),
                cut(r"\s?\p{P}+"),
                cut("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"),
                DIGITS,
                BYTES,
            ],
            "deepseek-coder",
        ),
        (
            [
                {"type": "Punctuation", "behavior": "Contiguous"},
                WORDS,
                {"type": "Digits", "individual_digits": False},
                cut("[0-9][0-9][0-9]"),
            ],
            "falcon",
        ),
    ],
    ids=["o200k", "o200k-removed", "deepseek-v3", "deepseek-coder", "falcon"],
)
def test_a_well_known_rule_has_its_name(steps: list[dict[str, Any]], name: str) -> None:
    assert named(*steps) == name


def test_the_letters_of_the_first_deepseek_are_those_with_a_case() -> None:
    steps = [
        cut("[\r\n]"),
        cut(patterns.DEEPSEEK_WORD),
        cut(patterns.DEEPSEEK_SIGNS),
        cut(r"\s+$"),
        cut(patterns.DEEPSEEK_CJK),
        DIGITS,
        BYTES,
    ]
    assert named(*steps) == "deepseek-llm"
    letter = re.compile(patterns.DEEPSEEK_LETTERS)
    assert all(letter.match(each) for each in "aZéЯΩµＡ\u212a")
    assert not any(letter.match(each) for each in "1 日ก_")


@pytest.mark.parametrize(
    "steps",
    [
        [cut(O200K, "Removed"), BYTES],
        [cut(O200K, invert=True), BYTES],
        [cut(O200K), WORDS],
        [cut(r"\p{N}{1,3}"), cut(DEEPSEEK_3), cut(CJK), BYTES],
        [{"type": "Punctuation", "behavior": "Isolated"}, WORDS, DIGITS, cut("[0-9][0-9][0-9]")],
        [{"type": "Split", "pattern": {"String": " "}, "behavior": "Isolated"}, BYTES],
    ],
    ids=["removed", "inverted", "words", "order", "punctuation", "string"],
)
def test_a_near_match_is_none(steps: list[dict[str, Any]]) -> None:
    with pytest.raises(JobError, match="no known name"):
        named(*steps)
