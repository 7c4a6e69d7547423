"""Where a copy is not the model that it was made from, as the program that made it knows."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class NoticeKind(StrEnum):
    CONTEXT_CUT = "context-cut"
    """To where the copy is still exact."""
    BEYOND_WINDOW = "beyond-window"
    """The whole context was asked for; beyond a window answers differ."""
    COMPOSED = "composed"
    """The original composes characters (NFC); text in decomposed form becomes other tokens."""
    END_LEFT_OUT = "end-left-out"
    """The original ends an answer at more tokens than the copy can name."""
    FIRST_SPACE = "first-space"
    """Text that begins with a space, and what follows special tokens, becomes other tokens."""
    MATRIX_LACKS = "matrix-lacks"
    """The importance matrix says nothing of some tensors; they are rounded without one."""
    ROPE_ROUNDED = "rope-rounded"
    """The copy turns some positions by an angle that is a little off."""
    TAKEN_AS_SPECIAL = "taken-as-special"
    """Ordinary pieces of text that the copy takes for special tokens."""
    TOKENS_LEFT_OUT = "tokens-left-out"
    """Added tokens that the original has no embeddings for."""


class Notice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: NoticeKind
    text: str
