"""A language model as a judge: one question, YES or NO."""

from __future__ import annotations

from llmops_cli.runtime.chat import (
    ChatClient,
    ChatEndpoint,
    ChatSettings,
    Filtered,
    Unanswered,
    message,
)

SETTINGS = ChatSettings(max_tokens=8)


def judge_client(endpoint: ChatEndpoint) -> ChatClient:
    """A client for short, sure answers."""
    return ChatClient(endpoint, SETTINGS)


async def says_yes(client: ChatClient, question: str) -> bool:
    """Anything but a YES is a no. Raises: Unanswered if the judge gives no answer."""
    try:
        answer = await client.ask([message("user", question)])
    except Unanswered as failed:
        raise Unanswered(f"judge: {failed.kind}") from None
    except Filtered:
        raise Unanswered("judge: filtered") from None
    return answer.strip().upper().startswith("YES")
