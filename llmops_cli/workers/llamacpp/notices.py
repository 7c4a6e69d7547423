"""What a user must know of a converted model; kinds are those of llmops_cli/models/notices.py."""

from collections.abc import Collection
from typing import NamedTuple

from _shared.protocol import Json
from _shared.token_texts import TOKEN_TEXTS

CONTEXT_CUT = "context-cut"
BEYOND_WINDOW = "beyond-window"
COMPOSED = "composed"
END_LEFT_OUT = "end-left-out"
FIRST_SPACE = "first-space"
MATRIX_LACKS = "matrix-lacks"
ROPE_ROUNDED = "rope-rounded"
TAKEN_AS_SPECIAL = "taken-as-special"
TOKENS_LEFT_OUT = "tokens-left-out"


SPACE_MARK = "\u2581"
"""What SentencePiece writes for a space, and takes for one."""
ABOUT_ADDED_TOKENS = frozenset((FIRST_SPACE, TAKEN_AS_SPECIAL, TOKENS_LEFT_OUT))


def is_told(text: str, kinds: Collection[str]) -> bool:
    """Whether notices of these kinds say that the text becomes other tokens.

    A text that is none of everybody's holds one of the tokenizer's own added tokens.
    """
    if FIRST_SPACE in kinds and text.startswith((" ", SPACE_MARK)):
        return True
    return text not in TOKEN_TEXTS and not ABOUT_ADDED_TOKENS.isdisjoint(kinds)


class Notice(NamedTuple):
    kind: str
    text: str

    def as_json(self) -> Json:
        return self._asdict()
