"""Where a JSON value ends, found character by character."""


class ValueScanner:
    """Feed text; it tells how much of it belongs to the value."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_text = False
        self._after_backslash = False
        self._has_begun = False
        self.is_done = False

    def feed(self, text: str) -> int:
        """The number of leading characters that are the value's."""
        for place, char in enumerate(text):
            if self._ends_before(char):
                self.is_done = True
                return place
            self._take(char)
            if self.is_done:
                return place + 1
        return len(text)

    def _ends_before(self, char: str) -> bool:
        """Numbers and words end where something else begins."""
        is_bare = self._has_begun and not self._in_text and self._depth == 0
        return is_bare and char in ",]} \n\t\r<["

    def _take(self, char: str) -> None:
        if self._in_text:
            self._take_in_text(char)
            return
        if char == '"':
            self._in_text = True
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1
            self.is_done = self._depth <= 0
        if not char.isspace():
            self._has_begun = True

    def _take_in_text(self, char: str) -> None:
        if self._after_backslash:
            self._after_backslash = False
        elif char == "\\":
            self._after_backslash = True
        elif char == '"':
            self._in_text = False
            self.is_done = self._depth == 0
