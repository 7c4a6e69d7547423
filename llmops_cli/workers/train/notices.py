"""Lines for the user: shown while the run goes on, and kept for its report."""

from _shared.protocol import Events


class Notices:
    """The first rank's are seen; the others' stay in their logs."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        print(text, flush=True)
        self.lines.append(text)
        self._events.emit(notice=text)
