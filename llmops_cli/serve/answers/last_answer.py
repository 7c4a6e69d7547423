"""What clients are told when nobody answers: a text of the file, in the place of a 502."""

from __future__ import annotations

import msgspec

from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.answers.replay import give
from llmops_cli.serve.endpoints import CHAT
from llmops_cli.serve.upstreams.exchange import Failure

HEADER = (b"x-llmops-last-answer", b"true")
PLAIN = "text"
COPIES_MOST = 16


def has_last_answer(request: AdmittedRequest, failure: Failure) -> bool:
    """Not for what is the client's doing, nor for who expects another form than a text."""
    if request.decided.settings.last_answer is None or request.target is not CHAT:
        return False
    if failure.is_clients or failure.status < 500:
        return False
    if request.asked.copies() > COPIES_MOST:
        return False
    form = request.asked.values.get("response_format")
    if form is None:
        return True
    return isinstance(form, dict) and form.get("type") == PLAIN


async def give_last_answer(request: AdmittedRequest) -> None:
    """It costs nothing, and says in a header what it is. Raises: Refusal."""
    request.decided.headers.append(HEADER)
    text = request.decided.settings.last_answer
    message = {"role": "assistant", "content": text}
    choices = [
        {"index": number, "message": message, "finish_reason": "stop"}
        for number in range(request.asked.copies())
    ]
    body = {
        "id": f"chatcmpl-{request.asked.id}",
        "object": "chat.completion",
        "created": 0,
        "model": request.asked.model,
        "choices": choices,
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }
    await give(request, msgspec.json.encode(body))
