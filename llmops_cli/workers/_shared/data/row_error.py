"""A row that cannot be trained on. Whoever knows its file and line makes the user's error of it."""


class RowError(Exception):
    """`index`: which one of the rows that were worked on together."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.index = 0
