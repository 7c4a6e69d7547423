"""A judge from the gateway's side: a process that is asked one thing at a time."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from llmops_cli.serve.judging.frames import JudgingOutcome, Task, frame_of, read_outcome

PROGRAM = "llmops_cli.serve.judging.process"
PIECE_BYTES = 1 << 20
END_S = 2.0


class JudgeDied(Exception):
    """It ended before it answered."""


class JudgeProcess:
    """Started by the first question, and by the first after it died."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                PROGRAM,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=PIECE_BYTES,
                start_new_session=True,  # Ctrl-C is for the gateway, which ends it in its time
            )
        return self._process

    async def ask(self, task: Task, *, seconds: float) -> JudgingOutcome:
        """Raises: JudgeDied; TimeoutError, after which it is another process; OSError."""
        async with self._turn:
            process = await self._started()
            try:
                async with asyncio.timeout(seconds):
                    outcome = await _answer(process, task)
            except (ConnectionError, asyncio.IncompleteReadError):
                await self.end()
                raise JudgeDied from None
            except BaseException:
                await self.end()
                raise
            if outcome.is_last:
                await self.end()
            return outcome

    async def end(self) -> None:
        process = self._process
        self._process = None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await process.wait()


async def _answer(process: asyncio.subprocess.Process, task: Task) -> JudgingOutcome:
    """Raises: ConnectionError; asyncio.IncompleteReadError."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.writelines(frame_of(task))
    await process.stdin.drain()
    return await read_outcome(process.stdout)
