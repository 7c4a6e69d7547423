"""How the OpenAI API writes one answer, of a chat and of a plain completion.

Standard library only.
"""

from typing import Any

Json = dict[str, Any]


def opening_choice() -> Json:
    """The first event of a streamed chat: a role, and no token yet."""
    delta = {"role": "assistant", "content": ""}
    return {"index": 0, "delta": delta, "finish_reason": None}


def piece_choice(text: str, *, chat: bool) -> Json:
    """The next characters of a streamed answer."""
    if chat:
        delta = {"content": text}
        return {"index": 0, "delta": delta, "finish_reason": None}
    return {"index": 0, "text": text, "finish_reason": None}


def thought_choice(text: str) -> Json:
    """The next characters of what a chat's model thinks, under vLLM's name."""
    return {"index": 0, "delta": {"reasoning_content": text}, "finish_reason": None}


def closing_choice(finish: str, *, chat: bool) -> Json:
    """Why a streamed answer ended."""
    if chat:
        return {"index": 0, "delta": {}, "finish_reason": finish}
    return {"index": 0, "text": "", "finish_reason": finish}


def whole_choice(
    text: str,
    finish: str,
    *,
    chat: bool,
    thought: str = "",
) -> Json:
    """An answer that was not streamed."""
    if chat:
        message = {"role": "assistant", "content": text}
        if thought:
            message["reasoning_content"] = thought
        return {"index": 0, "message": message, "finish_reason": finish}
    return {"index": 0, "text": text, "finish_reason": finish}


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
