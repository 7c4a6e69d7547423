"""Pieces of ordinary text that llama.cpp takes for special tokens, by how they are written.

Source: llama.cpp, src/llama-vocab.cpp, where special tokens are found by their texts.
"""

import gguf

from llamacpp.notices import TAKEN_AS_SPECIAL, Notice
from llamacpp.token_table import TokenTable

ENDS = (
    "</s>",
    "<eos>",
    "[EOS]",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[PAD]",
    "<PAD>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<turn|>",
    "<|calls|>",
    "<|call|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|flush|>",
    "<|im_end|>",
    "<|return|>",
    "<|tool_response>",
    "[e~[",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)
ROLES = ("<|channel|>", "<|constrain|>", "<|message|>", "<|start|>")
FILLING_IN = (
    *(f"<|fim_{part}|>" for part in ("prefix", "suffix", "middle", "pad", "repo")),
    *(f"<fim-{part}>" for part in ("prefix", "suffix", "middle", "pad", "repo")),
    *(f"<fim_{part}>" for part in ("prefix", "suffix", "middle", "pad")),
    *(f"<\uff5cfim\u2581{part}\uff5c>" for part in ("begin", "hole", "end")),
    *(f"<|code_{part}|>" for part in ("prefix", "suffix", "middle")),
    *(f"<|{part}|>" for part in ("prefix", "suffix", "middle", "repo_name", "file_sep")),
    *("<PRE>", "<SUF>", "<MID>", "<REPO>", "<reponame>"),
    *("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"),
)
LOOKS_SPECIAL = frozenset({*ENDS, *ROLES, *FILLING_IN})


def special_looking_notice(table: TokenTable) -> Notice | None:
    """Of trained tokens with such texts; added ones are special anyway."""
    normal = int(gguf.TokenType.NORMAL)
    pairs = zip(table.tokens, table.types, strict=True)
    found = [text for text, kind in pairs if kind == normal and text in LOOKS_SPECIAL]
    if not found:
        return None
    named = ", ".join(found[:5])
    text = f"llama.cpp takes {named} for special tokens wherever a text has them; its tokenizer not"
    return Notice(TAKEN_AS_SPECIAL, text)
