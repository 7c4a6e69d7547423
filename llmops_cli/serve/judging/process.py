"""A judge: `python -m llmops_cli.serve.judging.process`.

Tasks come on its input, outcomes go to its output. It gives way to the gateway and ends
with it, however that ended.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from llmops_cli.core.errors import LlmopsError
from llmops_cli.runtime.log_lines import handler_of
from llmops_cli.serve.judging.frames import JudgingOutcome, Task, frame_of, read_task
from llmops_cli.serve.refusal import Refusal

NICENESS = 10
COLLECTED_FROM = 50_000
"""New objects before a search for cycles: a large body has many objects, and no cycle."""
STATM = Path("/proc/self/statm")
MEMORY_MOST = 256 << 20
"""Three times what it needs by itself: what large bodies have left behind is not all given back."""
LOG = logging.getLogger("llmops.judge")


def main() -> None:
    os.nice(NICENESS)
    gc.set_threshold(COLLECTED_FROM, 10, 10)
    logging.root.handlers = [handler_of(sys.stderr)]
    threading.Thread(target=_follow_parent, daemon=True).start()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a plugin prints is no outcome
    _work(sys.stdin.buffer, answers)


def _work(tasks: BinaryIO, answers: BinaryIO) -> None:
    while (task := read_task(tasks)) is not None:
        outcome = _done(task)
        del task
        is_last = _memory_bytes() > MEMORY_MOST
        answers.writelines(_frame_of(outcome._replace(is_last=is_last)))
        answers.flush()
        del outcome


def _memory_bytes() -> int:
    """0 where that cannot be told."""
    try:
        pages = STATM.read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _frame_of(outcome: JudgingOutcome) -> tuple[bytes, bytes]:
    try:
        return frame_of(outcome)
    except RecursionError:
        refusal = Refusal(400, "the body is nested too deep", code="invalid_json")
        return frame_of(JudgingOutcome(error=refusal))


def _done(task: Task) -> JudgingOutcome:
    try:
        return JudgingOutcome(result=task.function(*task.arguments))
    except (Refusal, LlmopsError) as error:
        return JudgingOutcome(error=error)
    except Exception as error:
        LOG.exception("judging")
        return JudgingOutcome(error=RuntimeError(f"{type(error).__name__} while judging"))


def _follow_parent() -> None:
    """The other end of the input is closed when the gateway ends; a task under way ends with it."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLHUP)
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    main()
