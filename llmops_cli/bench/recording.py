"""A request that has ended, as its record."""

from __future__ import annotations

from typing import Any, NamedTuple

from llmops_cli.bench.answer import Completion, text_digest, told_count
from llmops_cli.bench.connection import Request
from llmops_cli.bench.events import gaps_of
from llmops_cli.bench.plan import LevelPlan
from llmops_cli.bench.record import Record
from llmops_cli.core.visible import visible_line


def record_of(
    plan: LevelPlan,
    request: Request,
    answer: Completion,
    *,
    origin_ns: int,
) -> Record:
    """Its times count from `origin_ns`, the start of the level."""
    stamps = answer.stamps
    usage = answer.usage
    times = _times(answer, origin_ns)
    count = _count(answer)
    error = None
    error_kind = None
    if answer.failure is not None:
        words = " ".join(answer.failure.text.split())
        error = visible_line(plan.target.without_secrets(words))
        error_kind = answer.failure.kind
    return Record(
        index=request.index,
        level=plan.level,
        repetition=plan.repetition,
        worker=plan.worker,
        conversation=request.session.index,
        turn=request.turn_number,
        intended_ns=request.intended_ns - origin_ns,
        sent_ns=request.sent_ns - origin_ns,
        connect_ns=request.connect_ns,
        first_ns=times.first_ns,
        end_ns=times.end_ns,
        done_ns=request.done_ns - origin_ns,
        chunks=len(stamps),
        gaps=gaps_of(stamps, count.tokens - count.hidden),
        input_wanted=request.turn.input_wanted,
        output_wanted=request.turn.output_wanted,
        input_tokens=told_count(usage.get("prompt_tokens")) or 0,
        output_tokens=count.tokens,
        cached_tokens=_cached_tokens(usage),
        counted_by=count.counted_by,
        finish_reason=answer.finish_reason,
        text_sha256=text_digest(answer.text) if answer.text else None,
        status=request.response.status or None,
        error=error,
        error_kind=error_kind,
        hidden_tokens=count.hidden,
        texts=answer.vectors,
    )


class _Times(NamedTuple):
    """Of the first text and of the last; an answer that came at once has no first."""

    first_ns: int | None
    end_ns: int | None


def _times(answer: Completion, origin_ns: int) -> _Times:
    stamps = answer.stamps
    if not stamps:
        return _Times(None, None)
    first_ns = stamps[0] - origin_ns if answer.is_stream else None
    return _Times(first_ns, stamps[-1] - origin_ns)


class _Count(NamedTuple):
    """`hidden`: tokens of a chain of thought that the server counts and did not send."""

    tokens: int
    counted_by: str
    hidden: int = 0


def _count(answer: Completion) -> _Count:
    """As the server says, or a token a chunk; vectors have none."""
    if answer.vectors:
        return _Count(0, "usage")
    told = told_count(answer.usage.get("completion_tokens"))
    if told is None or (answer.stamps and not told):
        return _Count(len(answer.stamps), "chunks")
    thought = _thought_tokens(answer.usage)
    if thought > told or _are_apart(answer.usage, told, thought):
        told += thought
    return _Count(told, "usage", 0 if answer.thought else min(thought, told))


def _thought_tokens(usage: dict[str, Any]) -> int:  # Any: as the server likes
    details = usage.get("completion_tokens_details")
    if not isinstance(details, dict):
        return 0
    return told_count(details.get("reasoning_tokens")) or 0


def _are_apart(usage: dict[str, Any], told: int, thought: int) -> bool:  # Any: as above
    """Some servers count what was thought beside the answer: only then the sum is all three."""
    total = told_count(usage.get("total_tokens"))
    read = told_count(usage.get("prompt_tokens"))
    return thought > 0 and None not in (total, read) and total == (read or 0) + told + thought


def _cached_tokens(usage: dict[str, Any]) -> int:  # Any: as the server likes
    details = usage.get("prompt_tokens_details")
    if not isinstance(details, dict):
        return 0
    return told_count(details.get("cached_tokens")) or 0
