"""A request with a body: limits, guard, budget, then an answer of before or an upstream's."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from llmops_cli.gateway_file.model import CompressConfig
from llmops_cli.serve.accounts.budget import Budgets
from llmops_cli.serve.accounts.limits import Claim
from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.answers.cached import AnswerCache, CacheLookup
from llmops_cli.serve.answers.count import tell_tokens
from llmops_cli.serve.answers.disconnect import DisconnectHooks, until_gone
from llmops_cli.serve.answers.generate import Generator
from llmops_cli.serve.answers.keep_alive import KeepAlive
from llmops_cli.serve.answers.last_answer import give_last_answer, has_last_answer
from llmops_cli.serve.answers.lengths import settle_lengths
from llmops_cli.serve.answers.relay import Relay, pass_failure_on
from llmops_cli.serve.answers.replay import replay
from llmops_cli.serve.answers.reservation import has_budget, reserve_at_most, sizes_beside
from llmops_cli.serve.answers.smaller import send_compressed
from llmops_cli.serve.context import CacheUse, GuardVerdict
from llmops_cli.serve.door.moderation import texts_of
from llmops_cli.serve.door.respond import respond
from llmops_cli.serve.endpoints import CHAT
from llmops_cli.serve.feedback.book import AskedBook
from llmops_cli.serve.feedback.ratable import RatableAnswers
from llmops_cli.serve.fetching import refuse_hidden_places
from llmops_cli.serve.judging.judging import Judging
from llmops_cli.serve.prompts.applied import apply_prompt
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.seen_texts import SeenTexts
from llmops_cli.serve.sending import sendable
from llmops_cli.serve.upstreams.anthropic.chat_translation import ChatTranslation
from llmops_cli.serve.upstreams.destinations import NOWHERE
from llmops_cli.serve.upstreams.exchange import Failure, NoAnswer
from llmops_cli.serve.upstreams.rules import destinations_of
from llmops_cli.serve.watch.metrics import Metrics

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

LOG = logging.getLogger("llmops.gateway")
LAST_ANSWER = "last_answer"
APPLIED_HERE_BYTES = 1 << 20
"""Of a body that may name a prompt: its variables are filled in on the loop, in 10 ms at most."""
UNREADABLE = (
    "a guard reads what reaches a model, and cannot read a prompt of token numbers or one that"
    " somebody else keeps; send its text"
)


class RequestHandler:
    """All that one worker does for requests with bodies.

    `judged` and `blocked` count prompts that the guard has read, and stopped.
    """

    def __init__(
        self,
        *,
        budgets: Budgets,
        cache: AnswerCache,
        metrics: Metrics,
        judging: Judging,
        book: AskedBook | None = None,
    ) -> None:
        self._ratable = RatableAnswers(book)
        self._budgets = budgets
        self._metrics = metrics
        self._judging = judging
        self._relay = Relay(metrics, judging, self._ratable)
        self._generator = Generator(self._relay, metrics)
        self.cache = cache
        self.judged = 0
        self.blocked = 0

    async def handle(self, request: AdmittedRequest, hooks: DisconnectHooks) -> None:
        """Answers. Raises: Refusal; ClientGone."""
        every_s = request.snapshot.config.streams.keep_alive_s if request.streams else 0.0
        try:
            if every_s:
                with KeepAlive(request, every_s):
                    await self._handle(request, hooks)
            else:
                await self._handle(request, hooks)
        except Refusal as refusal:
            if not request.has_begun:
                raise
            request.observed.status = refusal.status
            request.observed.error = refusal.code
            self._metrics.refused(refusal.code, request.asked.key_id)
            await request.end_refused(refusal)

    async def count(self, request: AdmittedRequest) -> None:
        """Tells a prompt's tokens. It takes a request of the limits, and costs nothing.

        Raises: Refusal.
        """
        alias = await self._settle_model(request)
        asked = request.asked
        limits = request.snapshot.limits
        claim, headers = await limits.take(asked.key, asked.ip, alias, 0)
        request.decided.headers += headers
        try:
            await self._compress(request)
            await self._settle_destinations(request)
            await self._hide(request)
            await tell_tokens(request)
        finally:
            await limits.settle(claim, 0, failed=False)

    async def moderate(self, request: AdmittedRequest, hooks: DisconnectHooks) -> None:
        """Tells the guard's opinion. It takes a request of the limits, and costs nothing.

        Raises: Refusal; ClientGone.
        """
        asked = request.asked
        texts = texts_of(asked.body.input)
        limits = request.snapshot.limits
        claim, headers = await limits.take(asked.key, asked.ip, "", 0)
        request.decided.headers += headers
        try:
            found = await until_gone(self._opinion(request, texts), request.observed, hooks)
        finally:
            await limits.settle(claim, 0, failed=False)
        request.observed.status = 200
        await respond(request.send, 200, found, request.decided.headers)

    async def _opinion(self, request: AdmittedRequest, texts: list[str]) -> bytes:
        """Texts for no model go where the strictest rule lets personal data go: nowhere from here.

        Raises: Refusal.
        """
        asked = request.asked
        snapshot = request.snapshot
        bounds = snapshot.config.limits.judging
        guard = snapshot.guard
        near = snapshot.guard_for(NOWHERE)
        if near is not guard and snapshot.keeps_personal_data:
            asked.personal = await self._judging.personal(asked, bounds)
            guard = near if asked.personal else guard
        return await self._judging.moderation(guard, texts, asked, bounds)

    async def _handle(self, request: AdmittedRequest, hooks: DisconnectHooks) -> None:
        """Raises: Refusal; ClientGone."""
        alias = await self._settle_model(request)
        _remember_texts(request)
        limits = request.snapshot.limits
        claim = await self._claim(request, alias, hooks)
        failed = False
        try:
            if self._takes_long(request):
                await until_gone(self._examine(request), request.observed, hooks)
            else:
                await self._examine(request)
            await self._within_budget(request, hooks)
            failed = request.observed.status >= 500
        except Refusal as refusal:
            failed = refusal.status >= 500
            raise
        finally:
            used = request.observed.usage.total_tokens
            await limits.settle(claim, used, failed=failed)

    # -- what is decided

    async def _claim(
        self,
        request: AdmittedRequest,
        alias: str,
        hooks: DisconnectHooks,
    ) -> Claim:
        """Of the limits. A chat is made smaller for whoever may ask, and its tokens count then.

        Raises: Refusal; ClientGone.
        """
        asked = request.asked
        decided = request.decided
        limits = request.snapshot.limits
        if self._compression(request) is None:
            settle_lengths(request)
            claim, headers = await limits.take(asked.key, asked.ip, alias, decided.tokens)
            decided.headers += headers
            return claim
        claim, headers = await limits.take(asked.key, asked.ip, alias, 0)
        try:
            await until_gone(self._compress(request), request.observed, hooks)
            settle_lengths(request)
            told = await limits.take_tokens(claim, asked.key, asked.ip, alias, decided.tokens)
        except BaseException:
            decided.headers += headers
            await limits.settle(claim, 0)
            raise
        names = {name for name, _ in told}
        decided.headers += [*told, *(each for each in headers if each[0] not in names)]
        return claim

    def _compression(self, request: AdmittedRequest) -> CompressConfig | None:
        if request.target is not CHAT:
            return None
        return request.snapshot.compress_of(request.decided.settings)

    async def _settle_model(self, request: AdmittedRequest) -> str:
        """The name whose settings and limits count. Raises: Refusal."""
        asked = request.asked
        decided = request.decided
        router = request.snapshot.router
        if asked.body_bytes <= APPLIED_HERE_BYTES or not asked.body.may_name_prompt:
            apply_prompt(request)
        else:
            await asyncio.to_thread(apply_prompt, request)
        name = asked.body.model
        route = router.model(name, shows=asked.key.serves)
        alias = route.alias
        decided.settings = route.settings
        if not asked.key.serves(name):
            raise Refusal(403, f"this key may not use {asked.model!r}", code="forbidden")
        decided.alias = alias if router.lists(alias) else "unlisted"
        asked.allow(decided.settings.fields)
        refuse_hidden_places(asked.reading().media, request.snapshot.config.limits.media_hosts)
        bounds = request.snapshot.config.limits.judging
        request.context.translation = ChatTranslation(self._judging, asked, bounds)
        found = sendable(request.target, asked, asked.further)
        decided.fields = found.fields
        decided.headers += found.told()
        return alias

    async def _compress(self, request: AdmittedRequest) -> None:
        """A chat made smaller before anything is counted, where the file says so."""
        decided = request.decided
        settings = self._compression(request)
        if settings is None:
            return
        bounds = request.snapshot.config.limits.judging
        found = await self._judging.compressed(request.asked, bounds, most_tokens=settings.tokens)
        chat = found.chat
        self._metrics.compressed(decided.alias, before=chat.tokens_before, after=chat.tokens_after)
        if chat.messages != request.asked.values["messages"]:
            send_compressed(request, found)

    async def _settle_destinations(self, request: AdmittedRequest) -> None:
        """Who may see what the request says, on every path from here."""
        asked = request.asked
        router = request.snapshot.router
        name = asked.body.model
        if router.asks_for_privacy(name):
            bounds = request.snapshot.config.limits.judging
            asked.personal = await self._judging.personal(asked, bounds)
        request.decided.destinations = destinations_of(request.decided.settings, asked)

    def _takes_long(self, request: AdmittedRequest) -> bool:
        """Whether the prompt is judged, so that its client may leave meanwhile."""
        router = request.snapshot.router
        return request.snapshot.guard is not None or router.asks_for_privacy(
            request.asked.body.model
        )

    async def _examine(self, request: AdmittedRequest) -> None:
        """What the prompt says decides whether it goes on, and where to. Raises: Refusal."""
        await self._settle_destinations(request)
        await self._judge(request)

    async def _judge(self, request: AdmittedRequest) -> None:
        """The guard on what goes in. Raises: Refusal if it blocks."""
        guard = request.guard
        if guard is None:
            return
        self.judged += 1
        if not request.asked.reading().is_readable:
            raise Refusal(400, UNREADABLE, code="unreadable")
        bounds = request.snapshot.config.limits.judging
        judged = await self._judging.input(guard, request.asked, bounds)
        if judged.suspects:
            _suspect(request)
        for action, rule in judged.verdicts:
            self._relay.note_verdict(request, GuardVerdict("input", action, rule))
        if judged.blocks:
            self.blocked += 1
            raise Refusal(400, judged.message, code="content_filter")
        if judged.redacts:
            await self._redact(request, guard)

    async def _hide(self, request: AdmittedRequest) -> None:
        """From a tokenizer as well; nothing else is judged where nobody answers."""
        guard = request.guard
        if guard is None:
            return
        bounds = request.snapshot.config.limits.judging
        judged = await self._judging.input(guard, request.asked, bounds)
        if judged.redacts:
            await self._redact(request, guard)

    async def _redact(self, request: AdmittedRequest, guard: Guard) -> None:
        """What the policy takes out of a prompt reaches nobody. Raises: Refusal if it is left."""
        asked = request.asked
        decided = request.decided
        bounds = request.snapshot.config.limits.judging
        found = await self._judging.redacted_prompt(guard, asked, decided.fields, bounds)
        if found is None:
            self.blocked += 1
            raise Refusal(400, guard.policy.message, code="content_filter")
        decided.fields = {**decided.fields, **found.fields}
        asked.values = {**asked.values, **found.values}
        asked.filled = found.filled
        asked.was_read = found.reading

    def _shadow(self, request: AdmittedRequest) -> None:
        if request.decided.settings.shadow is None:
            return
        name = request.asked.body.model
        request.snapshot.dispatcher.shadow(name, request.context, request.decided.fields)

    # -- the answer

    async def _within_budget(self, request: AdmittedRequest, hooks: DisconnectHooks) -> None:
        """What an answer can cost at most is reserved, and what it did cost is settled."""
        key = request.asked.key
        observed = request.observed
        dollars = 0.0
        tokens = 0
        if has_budget(key):
            dollars, tokens = reserve_at_most(request, await sizes_beside(request))
        reservation = await self._budgets.reserve(key, dollars, tokens)
        try:
            self._shadow(request)
            await until_gone(self._answer(request), observed, hooks)
        finally:
            self._relay.settle_unanswered(request)
            await self._budgets.settle(reservation, observed.dollars, observed.usage.total_tokens)

    async def _answer(self, request: AdmittedRequest) -> None:
        lookup = await self.cache.look_up(request)
        if lookup is not None and lookup.found is not None:
            await self._replay(request, lookup.found, lookup.use)
            return
        try:
            body = await self._generator.generate(request, keeps=lookup is not None)
        except NoAnswer as error:
            if lookup is None or not await self._stale(request, lookup):
                await self._fail(request, error.failure)
            return
        if lookup is not None and body is not None:
            await self.cache.keep(request, lookup, body)

    async def _fail(self, request: AdmittedRequest, failure: Failure) -> None:
        if has_last_answer(request, failure):
            self._metrics.fell_back(request.decided.alias, LAST_ANSWER)
            request.observed.error = request.observed.error or failure.message
            await give_last_answer(request)
        else:
            await pass_failure_on(request, failure)

    async def _stale(self, request: AdmittedRequest, lookup: CacheLookup) -> bool:
        """Whether an answer whose time is over was given, where nobody has a better one."""
        old = await self.cache.stale(request, lookup)
        if old is None:
            return False
        self._metrics.fell_back(request.decided.alias, "cache")
        await self._replay(request, old, CacheUse.STALE)
        return True

    async def _replay(self, request: AdmittedRequest, body: bytes, use: CacheUse) -> None:
        await self._ratable.note(request, is_kept=True)
        await replay(request, body, use)


def _suspect(request: AdmittedRequest) -> None:
    """Of some of what the guard lets through, the answer is judged when it has gone."""
    if random.random() >= request.snapshot.config.audit.suspicious:
        return
    observed = request.observed
    users = [text for role, text in request.asked.texts() if role == "user"]
    if observed.seen is None:
        observed.seen = SeenTexts()
    observed.seen.question = users[-1] if users else ""


def _remember_texts(request: AdmittedRequest) -> None:
    """As they were asked, for who looks at them when the request has ended."""
    if request.snapshot.config.audit.keys:
        texts = [text for _, text in request.asked.texts()]
        request.observed.seen = SeenTexts(asked=texts, is_searched=True)
