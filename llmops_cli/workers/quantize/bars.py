"""A library's progress bars as events."""

import os
from typing import Any

import tqdm
import tqdm.auto

from _shared.protocol import Events

MOST_STAGE = 60


def show_progress(events: Events) -> None:
    """The bars that a library draws become events; call it before importing that library."""
    base: Any = tqdm.std.tqdm

    class EventBar(base):  # type: ignore[misc] # a class made of a library without types
        """A bar that is drawn nowhere."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            nowhere = open(os.devnull, "w")  # noqa: SIM115, PTH123 - as long as the bar
            kwargs["file"] = nowhere
            super().__init__(*args, **kwargs)

        def refresh(self, *_args: Any, **_kwargs: Any) -> bool:
            if self.total:
                words = str(self.desc or "quantizing")
                stage = words.strip(" :")[:MOST_STAGE]
                done = float(self.n)
                total = float(self.total)
                events.progress(stage, done, total)
            return True

        def update(self, n: float | None = 1) -> Any:
            done = super().update(n)
            self.refresh()
            return done

    for module in (tqdm, tqdm.auto, tqdm.std):
        module.tqdm = EventBar
