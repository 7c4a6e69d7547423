"""What a user must know of a converted model; kinds are those of llmops_cli/models/notices.py."""

from typing import NamedTuple

from _shared.protocol import Json

CONTEXT_CUT = "context-cut"
BEYOND_WINDOW = "beyond-window"
COMPOSED = "composed"
FIRST_SPACE = "first-space"
TAKEN_AS_SPECIAL = "taken-as-special"
TOKENS_LEFT_OUT = "tokens-left-out"


class Notice(NamedTuple):
    kind: str
    text: str

    def as_json(self) -> Json:
        return self._asdict()
