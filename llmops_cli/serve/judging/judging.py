"""The gateway's face of its judges: little is done here and now, much by them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from llmops_cli.core.errors import LlmopsError
from llmops_cli.gateway_file.config import JudgingConfig
from llmops_cli.guard.models import is_learnt
from llmops_cli.serve.answers.dialects.dialect import Dialect
from llmops_cli.serve.answers.whole_guard import GuardedAnswer, words_size
from llmops_cli.serve.context import Asked, Fields
from llmops_cli.serve.door.body import decode_fields
from llmops_cli.serve.endpoints import no_places
from llmops_cli.serve.judging.key_search import FoundKey, search_keys
from llmops_cli.serve.judging.pool import JudgePool
from llmops_cli.serve.judging.queue import QUICK_BYTES
from llmops_cli.serve.judging.redaction import RedactedPrompt, redacted_prompt
from llmops_cli.serve.judging.stance import ModelStance, stance_to
from llmops_cli.serve.judging.weight import JUDGED_CHARS, are_few, is_light
from llmops_cli.serve.judging.work import (
    CompressedChat,
    Judged,
    compressed_chat,
    holds_personal,
    judge_answer,
    judge_input,
    moderate,
    read_body,
    redacted,
    warm_up,
)
from llmops_cli.serve.reading import utf8_bytes
from llmops_cli.serve.refusal import Refusal, retry_after
from llmops_cli.serve.seen_texts import SeenTexts
from llmops_cli.serve.upstreams.anthropic.request import MessagesBody, translated

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

LOG = logging.getLogger("llmops.gateway")
AUDIT = " audit"
"""Who asks for what nobody waits for. No key's id begins with a space."""
AUDIT_BOUNDS = JudgingConfig()
AUDITED_AT_ONCE = 4
KEY_SEARCH_BYTES = 8 << 10
"""Of texts that are searched for keys on the loop, in 0.1 ms: less than it takes to send them to a
judge. Those that are written to be slow take 2.5 ms."""
COMPRESSED_BYTES = 4 << 10
"""A chat of so much is made smaller on the loop, in some milliseconds at most."""
UNBOUNDED = 1 << 30
ASKING_OTHERS = ("moderation", "classifier")
"""Detectors that wait for a model's verdict."""
TEXT_COST = 256
"""Bytes as which a text counts at least: each has a cost of its own."""


class Judging:
    """Of one gateway's process."""

    def __init__(self) -> None:
        self.pool = JudgePool(warm_up)
        self._auditing = asyncio.Semaphore(AUDITED_AT_ONCE)

    async def read(
        self,
        body: bytes,
        asked: Asked,
        dialect: Dialect,
        bounds: JudgingConfig,
    ) -> bytes:
        """The beginning of a heavy body in OpenAI's form; what is read of it stands in `asked`.

        Raises: Refusal.
        """
        found = await self._run(
            read_body,
            body,
            asked.endpoint.path,
            asked.session,
            dialect,
            asked=asked,
            size=len(body),
            bounds=bounds,
        )
        for name, value in found.noted.items():
            setattr(asked, name, value)
        vars(dialect).update(vars(found.dialect))  # the same one, having heard the request
        await asyncio.sleep(0)  # each step of a large body is one of its own
        plain = msgspec.json.encode(asked.values)
        await asyncio.sleep(0)
        asked.fields = decode_fields(plain)
        beginning: bytes = found.beginning
        return beginning

    async def input(
        self,
        guard: Guard,
        asked: Asked,
        bounds: JudgingConfig,
    ) -> Judged:
        """Raises: Refusal for what is too large, or cannot be judged now."""
        texts = asked.texts()
        size = _size_of([text for _, text in texts], bounds, "the text")
        route = asked.endpoint.target.path
        turns = asked.turns()
        if are_few([text for _, text in texts]) and not asks_others(guard):
            with failing_guard():
                return judge_input(guard.policy, texts, route, turns)
        judged: Judged = await self._run(
            judge_input, guard.policy, texts, route, turns, asked=asked, size=size, bounds=bounds
        )
        return judged

    async def redacted_prompt(
        self,
        guard: Guard,
        asked: Asked,
        fields: Fields,
        bounds: JudgingConfig,
    ) -> RedactedPrompt | None:
        """None if it cannot be. Raises: Refusal as above."""
        found: RedactedPrompt | None = await self._run(
            redacted_prompt,
            guard.policy,
            fields,
            asked.endpoint.path,
            asked.further,
            asked.filled,
            asked=asked,
            size=sum(memoryview(value).nbytes for value in fields.values()),
            bounds=bounds,
        )
        return found

    async def compressed(
        self,
        asked: Asked,
        bounds: JudgingConfig,
        *,
        most_tokens: int | None,
    ) -> CompressedChat:
        """A chat made smaller: here if it is small already. Raises: Refusal as above."""
        path = asked.endpoint.path
        fixed = asked.filled.length if asked.filled else 0
        size = memoryview(asked.fields["messages"]).nbytes
        if size <= COMPRESSED_BYTES:
            return compressed_chat(asked.values, path, asked.further, most_tokens, fixed)
        found: CompressedChat = await self._run(
            compressed_chat,
            asked.values,
            path,
            asked.further,
            most_tokens,
            fixed,
            asked=asked,
            size=size,
            bounds=bounds,
        )
        return found

    async def in_messages(
        self,
        asked: Asked,
        fields: Fields,
        bounds: JudgingConfig,
    ) -> MessagesBody:
        """A chat in Anthropic's words: here if that takes a moment.

        Raises: Refusal for what they do not have, or as above.
        """
        if is_light(b"".join(fields.values())):
            return translated(fields, asked.further)
        found: MessagesBody = await self._run(
            translated,
            fields,
            asked.further,
            asked=asked,
            size=sum(memoryview(value).nbytes for value in fields.values()),
            bounds=bounds,
        )
        return found

    async def answer(
        self,
        guard: Guard,
        raw: bytes,
        asked: Asked,
        bounds: JudgingConfig,
    ) -> GuardedAnswer:
        """One that is there already is not turned away. Raises: Refusal for what is too large."""
        target = asked.endpoint.target
        path = target.path
        if target.places is no_places:
            return GuardedAnswer(raw)
        size = words_size(raw, target)
        if size <= JUDGED_CHARS and not asks_others(guard):
            with failing_guard():
                return judge_answer(guard.policy, raw, path)
        if size > bounds.text_bytes:
            said = f"the answer has more than the {bounds.text_bytes:,} bytes that are judged"
            raise Refusal(502, said, code="upstream_error")
        found: GuardedAnswer = await self._run(
            judge_answer,
            guard.policy,
            raw,
            path,
            asked=asked,
            size=size,
            bounds=structs.replace(bounds, waiting=UNBOUNDED, per_key=UNBOUNDED),
        )
        return found

    async def moderation(
        self,
        guard: Guard | None,
        texts: Sequence[str],
        asked: Asked,
        bounds: JudgingConfig,
    ) -> bytes:
        """Raises: Refusal as above."""
        policy = None if guard is None else guard.policy
        size = _size_of(texts, bounds, "the text")
        is_quick = guard is not None and not asks_others(guard)
        if is_quick and are_few(texts):
            with failing_guard():
                return moderate(policy, texts, asked.id)
        found: bytes = await self._run(
            moderate, policy, texts, asked.id, asked=asked, size=size, bounds=bounds
        )
        return found

    async def personal(self, asked: Asked, bounds: JudgingConfig) -> bool:
        """Whether somebody's data may be in a request. Raises: Refusal as above."""
        reading = asked.reading()
        if reading.media or not reading.is_readable:
            return True
        size = sum(memoryview(value).nbytes for value in asked.fields.values())
        if size <= JUDGED_CHARS:
            return holds_personal(asked.fields)
        _refuse_size(size, bounds, "the text")
        found: bool = await self._run(
            holds_personal, asked.fields, asked=asked, size=size, bounds=bounds
        )
        return found

    async def redacted(self, raws: Sequence[bytes]) -> list[str]:
        """Texts for the audit log."""
        size = sum(map(len, raws))
        if size <= JUDGED_CHARS:
            return redacted(raws)
        async with self._auditing:
            found: list[str] = await self.pool.run(
                redacted, raws, key=AUDIT, size=min(size, QUICK_BYTES), bounds=AUDIT_BOUNDS
            )
        return found

    async def keys(self, seen: SeenTexts) -> list[FoundKey]:
        """Of texts beyond KEY_SEARCH_BYTES. Raises: Refusal if too many wait."""
        async with self._auditing:
            seen.said.join()
            found: list[FoundKey] = await self.pool.run(
                search_keys, seen, key=AUDIT, size=seen.size, bounds=AUDIT_BOUNDS
            )
        return found

    async def stance(self, question: str, answers: list[str]) -> ModelStance:
        """How a model stood to what was suspected. Raises: Refusal if too many wait."""
        size = len(question) + sum(map(len, answers))
        async with self._auditing:
            found: ModelStance = await self.pool.run(
                stance_to, question, answers, key=AUDIT, size=size, bounds=AUDIT_BOUNDS
            )
        return found

    async def _run(
        self,
        function: Callable[..., Any],  # Any: each returns its own
        *arguments: object,
        asked: Asked,
        size: int,
        bounds: JudgingConfig,
    ) -> Any:  # Any: the function's
        key = asked.key_id or asked.ip
        with failing_guard():
            return await self.pool.run(function, *arguments, key=key, size=size, bounds=bounds)


@contextmanager
def failing_guard() -> Iterator[None]:
    """A guard that cannot judge is no guard that lets pass. Raises: Refusal."""
    try:
        yield
    except LlmopsError as error:
        LOG.error("the guard cannot judge: %s", error.message)
        said = "the guard cannot judge now"
        raise Refusal(503, said, code="guard_unavailable", headers=retry_after(5)) from None


def _size_of(
    texts: Sequence[str],
    bounds: JudgingConfig,
    what: str,
) -> int:
    """In bytes, about, with each text's own cost. Raises: Refusal for more than may be judged."""
    size = sum(map(utf8_bytes, texts))
    _refuse_size(size, bounds, what)
    return size + TEXT_COST * len(texts)


def _refuse_size(size: int, bounds: JudgingConfig, what: str) -> None:
    if size > bounds.text_bytes:
        said = f"{what} has more than the {bounds.text_bytes:,} bytes that are judged"
        raise Refusal(413, said, code="too_large")


def asks_others(guard: Guard) -> bool:
    """Whether a policy's detectors wait for other machines, or a model."""
    policy = guard.policy
    pairs = [(policy.input, policy.output), *policy.routes.values()]
    sides = [side for pair in pairs for side in pair] + list(policy.roles.values())
    if policy.input.of("moderation").name is not None:
        return True  # its scores are told even where it stops nothing
    entries = [side.of(name) for side in sides for name in ASKING_OTHERS]
    return any(entry.action != "allow" and not is_learnt(entry.name) for entry in entries)
