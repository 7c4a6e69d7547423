"""A stream that has nothing to say yet says that it is alive, so that nobody on the way hangs up.

Its status is told with the first such word. What goes wrong afterwards is an event of the stream;
other upstreams can be asked still.
"""

from __future__ import annotations

import asyncio
import time

from llmops_cli.serve.answers.admitted import EVENT_STREAM, AdmittedRequest

END = b"\n\n"
"""Of a whole event: in the middle of one there is no place for another."""


class KeepAlive:
    """Of one request, while `with` lasts. `every_s` is 0 where it is not wanted."""

    __slots__ = ("_every_s", "_request", "_task", "_timer")

    def __init__(self, request: AdmittedRequest, every_s: float) -> None:
        self._request = request
        self._every_s = every_s
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        if self._every_s:
            self._wait(self._every_s)

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """One timer for the whole answer, which is cheaper than one for each of its pieces."""
        request = self._request
        if request.has_ended:
            return
        left_s = self._every_s - (time.monotonic() - request.spoke_at)
        if left_s > 0:
            self._wait(left_s)
            return
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._speak())
        self._wait(self._every_s)

    async def _speak(self) -> None:
        request = self._request
        if not request.has_begun:
            request.observed.status = 200
            await request.begin_stream(200, [EVENT_STREAM])
        elif request.said and not request.said.endswith(END):
            return
        if not request.has_ended:
            await request.say(request.dialect.ping())
