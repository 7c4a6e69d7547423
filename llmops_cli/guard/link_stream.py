"""What links mean in an answer that arrives in pieces, of which only the last stretch is kept."""

from __future__ import annotations

from llmops_cli.guard.code_spans import open_fence
from llmops_cli.guard.link_forms import image_names

NAMES_MOST = 64
ENDS = " \n\t)>\"'"


class LinkStream:
    """Remembers of what is let go whether a fence is open, and which images were named."""

    def __init__(self) -> None:
        self._fence = ""
        self._names: list[str] = []
        self._has_address = False

    @property
    def before(self) -> str:
        """Stands for what was let go: the same names, the same fence."""
        names = "".join(f"![{name}]\n" for name in self._names)
        return f"{names}{self._fence}\n" if self._fence else names

    def may_end(self, piece: str) -> bool:
        """Whether an address that began may end in this piece."""
        self._has_address = self._has_address or "/" in piece or ":" in piece
        if not self._has_address or not any(sign in piece for sign in ENDS):
            return False
        self._has_address = False
        return True

    def kept(self, stretch: str, length: int) -> str:
        """The end of the stretch, from the beginning of a line if that is near."""
        if len(stretch) <= length:
            return stretch
        cut = stretch.rfind("\n", 0, len(stretch) - length) + 1
        if len(stretch) - cut > 1.5 * length:
            cut = len(stretch) - length
        gone = stretch[:cut]
        self._fence = open_fence(f"{self._fence}\n{gone}")
        known = set(self._names)
        self._names += sorted(image_names(gone) - known)
        self._names = self._names[-NAMES_MOST:]
        return stretch[cut:]
