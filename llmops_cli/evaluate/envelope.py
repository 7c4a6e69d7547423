"""What an answer comes in: thoughts before it, a JSON object around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

THOUGHTS = r"think|thinking|thoughts?|reasoning|scratchpad|reflection|analysis"
THOUGHT = re.compile(
    rf"<({THOUGHTS})>.*?(?:</\1>|\Z)|\[THINK\].*?(?:\[/THINK\]|\Z)",
    re.DOTALL | re.IGNORECASE,
)
END_OF_THOUGHT = re.compile(rf".*(?:</(?:{THOUGHTS})>|\[/THINK\])", re.DOTALL | re.IGNORECASE)
"""Some servers' templates begin a thought, so that answers only end it."""
FINAL_CHANNEL = re.compile(r".*<\|channel\|>final<\|message\|>", re.DOTALL)
OTHER_CHANNEL = re.compile(r"^\s*<\|channel\|>.*", re.DOTALL)
FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*)\n\s*```\s*$", re.DOTALL)
CALLS = re.compile(
    r"<tool_call>.*?(?:</tool_call>|\Z)|\[TOOL_CALLS\].*",
    re.DOTALL | re.IGNORECASE,
)
DEEPEST = 8
REFUSING_FIELDS = frozenset({"refusal", "refused", "is_refusal", "declined", "denied", "blocked"})
STATUS_FIELDS = frozenset({"status", "result", "outcome", "type", "verdict", "decision"})
REFUSING_STATUSES = frozenset(
    {"refusal", "refused", "refuse", "declined", "decline", "denied", "deny", "blocked", "rejected"}
)


def without_thoughts(answer: str) -> str:
    """The answer without what a model thinks aloud in tags; one that never ends is all thought."""
    final = FINAL_CHANNEL.match(answer)
    if final is not None:
        return answer[final.end() :]
    without = OTHER_CHANNEL.sub("", THOUGHT.sub(" ", answer))
    return END_OF_THOUGHT.sub(" ", without)


def opened(answer: str) -> str:
    """The texts of an answer that is one JSON object, a line each; any other without its calls."""
    found = _object(answer)
    if found is None:
        return CALLS.sub(" ", answer)
    return "\n".join(_texts(found, DEEPEST))


def is_marked_refusal(answer: str) -> bool:
    """Whether a field of a JSON answer says that it refuses: `"refused": true`."""
    found = _object(answer)
    if found is None:
        return False
    for name, value in found.items():
        is_flag = name.lower() in REFUSING_FIELDS and value not in (False, None, "", "false", "no")
        is_status = name.lower() in STATUS_FIELDS and str(value).lower() in REFUSING_STATUSES
        if is_flag or is_status:
            return True
    return False


def _object(answer: str) -> dict[str, Any] | None:  # Any: an answer's own JSON
    fenced = FENCE.match(answer)
    text = fenced[1] if fenced else answer
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _texts(value: Any, depth: int) -> Iterator[str]:  # Any: an answer's own JSON
    if isinstance(value, str):
        yield value
    if depth == 0:
        return
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _texts(part, depth - 1)
