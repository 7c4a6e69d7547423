"""A language model as a judge: one question, YES or NO."""

from __future__ import annotations

import re

from llmops_cli.runtime.chat import (
    ChatClient,
    ChatEndpoint,
    ChatSettings,
    Filtered,
    Unanswered,
    message,
)

FIRST_WORD = re.compile(r"[^\W\d_]+")
VERDICTS = {"YES": True, "NO": False}
ANSWER_TOKENS = 8
SETTINGS = ChatSettings(max_tokens=ANSWER_TOKENS)


def judge_client(endpoint: ChatEndpoint) -> ChatClient:
    """A client for short, sure answers."""
    return ChatClient(endpoint, SETTINGS)


async def says_yes(client: ChatClient, question: str) -> bool:
    """By the answer's first word. Raises: Unanswered if that is neither, or there is no answer."""
    try:
        answer = await client.ask([message("user", question)])
    except Unanswered as failed:
        raise Unanswered(f"judge: {failed.kind}") from None
    except Filtered:
        raise Unanswered("judge: filtered") from None
    first = FIRST_WORD.search(answer)
    word = first[0].upper() if first else ""
    if word not in VERDICTS:
        raise Unanswered("judge: neither YES nor NO")
    return VERDICTS[word]
