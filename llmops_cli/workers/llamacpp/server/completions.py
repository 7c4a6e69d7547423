"""The two endpoints that generate: from a request's body to its generations and their answer."""

import asyncio
from collections.abc import Mapping

import msgspec

from _shared.grammars.machine import Machine
from llamacpp.server.answers import Inbox, collect_answer, stream_answer, watch_disconnect
from llamacpp.server.asgi import Receive, Send, apart, read_body
from llamacpp.server.errors import ApiError, BadRequest, Disconnected
from llamacpp.server.generation import Generation
from llamacpp.server.grammars import Grammars, WantedForm, form_of
from llamacpp.server.metrics import ServerMetrics
from llamacpp.server.prefixes import Tokens
from llamacpp.server.prompts import PromptReader
from llamacpp.server.requests import (
    ChatRequest,
    CompletionRequest,
    GenerationRequest,
    Prompt,
    check_chat,
    check_completion,
    decode,
    prompts_of,
    sampling_of,
    stops_of,
)
from llamacpp.server.responses import ResponseEncoder
from llamacpp.server.sampling import SamplingParams
from llamacpp.server.scheduler import QueueFull, Scheduler
from llamacpp.server.shape import AnswerShape
from llamacpp.server.tools import ToolUse, in_channels, tool_use_of

CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"
MOST_LOGPROBS = 2_000_000
"""Of one answer that is told at once, each token with its alternatives: some 300 MB."""
RESERVED_FIELDS = ("messages", "tools", "bos_token", "eos_token")


class GenerationCall(msgspec.Struct, frozen=True, kw_only=True):
    """What both endpoints make of their bodies. `top_logprobs` -1: no log-probabilities."""

    chat: bool
    request: GenerationRequest
    prompts: list[Tokens]
    max_tokens: int | None
    top_logprobs: int
    tools: ToolUse | None = None
    echoes: list[str] | None = None
    best_of: int = 1

    @property
    def shape(self) -> AnswerShape:
        echoes = None
        if self.echoes is not None:
            echoes = [text for text in self.echoes for _ in range(self.best_of)]
        return AnswerShape(
            tools=self.tools,
            echoes=echoes,
            choices=self.request.n,
            best_of=self.best_of,
            shows_logprobs=self.top_logprobs >= 0,
        )

    @property
    def must_call(self) -> bool:
        return self.tools is not None and self.tools.form is not None

    @property
    def form(self) -> WantedForm | None:
        """What its answers are held to; None for free text. Raises: BadRequest."""
        if self.tools is not None and self.tools.form is not None:
            return self.tools.form
        return form_of(self.request.grammar, self.request.response_format)

    @property
    def scored_logprobs(self) -> int:
        """What the sampler has to say: to choose the best, at least the tokens' own."""
        if self.best_of > self.request.n:
            return max(0, self.top_logprobs)
        return self.top_logprobs

    @property
    def scores_prompts(self) -> bool:
        return self.echoes is not None and self.top_logprobs >= 0

    @property
    def prompt_field(self) -> str:
        return "messages" if self.chat else "prompt"

    @property
    def path(self) -> str:
        return CHAT_PATH if self.chat else COMPLETIONS_PATH


class Completions:
    """Answers both endpoints through one scheduler."""

    def __init__(
        self,
        reader: PromptReader,
        scheduler: Scheduler,
        metrics: ServerMetrics,
        *,
        grammars: Grammars,
        models: list[str],
        context: int,
    ) -> None:
        """`models`: the model's name, then those of its adapters, in their order."""
        self._grammars = grammars
        self._reader = reader
        self._vocabulary = reader.vocabulary
        self._scheduler = scheduler
        self._metrics = metrics
        self._models = models
        self._context = context

    async def chat(self, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        request = await apart(body, lambda: decode(body, ChatRequest))
        check_chat(request)
        check_template_fields(request.chat_template_kwargs)
        call = await apart(body, lambda: self._chat_call(request))
        await self._answer(call, receive, send)

    def _chat_call(self, request: ChatRequest) -> GenerationCall:
        self._check_count(request.n, "n")
        may_call = self._tool_use(request)
        use = in_channels(may_call, self._reader.layout, has_form=request.has_form)
        prompt = self._reader.chat(
            request.messages,
            tools=request.tools if may_call else None,
            fields=request.chat_template_kwargs,
            opening=use.opening if use else "",
        )
        return GenerationCall(
            chat=True,
            tools=use,
            request=request,
            prompts=[prompt],
            max_tokens=request.token_limit,
            top_logprobs=request.wanted_logprobs,
            best_of=request.n,
        )

    def _tool_use(self, request: ChatRequest) -> ToolUse | None:
        """Raises: BadRequest."""
        use = tool_use_of(
            request.tools or [],
            request.tool_choice,
            self._reader.layout,
            has_several=request.parallel_tool_calls,
        )
        if use is not None and use.form is not None and request.has_form:
            message = "tool_choice: a call of a tool cannot have a grammar or response_format too"
            raise BadRequest(message, param="tool_choice")
        return use

    async def complete(self, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        call = await apart(body, lambda: self._completion_call(body))
        await self._answer(call, receive, send)

    def _completion_call(self, body: bytes) -> GenerationCall:
        request = decode(body, CompletionRequest)
        check_completion(request)
        given = prompts_of(request)
        best_of = request.best_of or request.n
        self._check_count(len(given) * best_of, "prompt" if len(given) > 1 else "n")
        prompts = [self._prompt_tokens(prompt, request.suffix) for prompt in given]
        echoes = None
        if request.echo:
            pairs = zip(given, prompts, strict=True)
            echoes = [self._reader.text_of(prompt, tokens) for prompt, tokens in pairs]
        return GenerationCall(
            chat=False,
            request=request,
            prompts=prompts,
            max_tokens=request.answer_limit,
            top_logprobs=request.wanted_logprobs,
            echoes=echoes,
            best_of=best_of,
        )

    def _check_count(self, answers: int, field: str) -> None:
        """Before anything is made for each. Raises: BadRequest for more than there is ever room."""
        most = self._scheduler.most
        if answers > most:
            message = f"{field}: {answers:,} answers in one request; this server takes {most:,}"
            raise BadRequest(message, param=field)

    def _prompt_tokens(self, prompt: Prompt, suffix: str | None) -> Tokens:
        return self._reader.filling(prompt, suffix) if suffix else self._reader.plain(prompt)

    async def _answer(
        self,
        call: GenerationCall,
        receive: Receive,
        send: Send,
    ) -> None:
        request = call.request
        model = self._model_of(request)
        inbox: Inbox = asyncio.Queue()
        adapter = self._models.index(model)
        form = call.form
        watcher = asyncio.create_task(watch_disconnect(receive, inbox))
        try:
            grammar = None if form is None else await self._grammar(form, watcher)
            generations = self._generations(call, adapter, inbox, grammar)
            self._submit(generations)
            encoder = ResponseEncoder(self._vocabulary, chat=call.chat, model=model)
            await self._tell(encoder, generations, call=call, inbox=inbox, send=send)
        finally:
            watcher.cancel()

    async def _grammar(self, form: WantedForm, watcher: asyncio.Task[None]) -> Machine:
        """Raises: ApiError; Disconnected if the client goes before it is made."""
        making = asyncio.create_task(self._grammars.machine(form))
        try:
            await asyncio.wait([making, watcher], return_when=asyncio.FIRST_COMPLETED)
            if not making.done():
                raise Disconnected
            return making.result()
        finally:
            making.cancel()

    async def _tell(
        self,
        encoder: ResponseEncoder,
        generations: list[Generation],
        *,
        call: GenerationCall,
        inbox: Inbox,
        send: Send,
    ) -> None:
        """What generations say that are under way, until they end or the client goes."""
        request = call.request
        try:
            if request.stream:
                usage = request.wants_usage_chunk
                await stream_answer(
                    encoder, generations, inbox, send, with_usage=usage, shape=call.shape
                )
            else:
                await collect_answer(encoder, generations, inbox, send, shape=call.shape)
            self._metrics.count(call.path, 200)
        finally:
            for generation in generations:
                generation.cancelled = True  # the scheduler drops it before its next step
            self._metrics.observe(generations)

    def _model_of(self, request: GenerationRequest) -> str:
        """The first one if none is named. Raises: ApiError."""
        model = request.model or self._models[0]
        if model not in self._models:
            known = ", ".join(self._models)
            message = f"no model '{model}' here; there is {known}"
            raise ApiError(404, "model_not_found", message, param="model")
        return model

    def _submit(self, generations: list[Generation]) -> None:
        try:
            self._scheduler.submit(generations)
        except QueueFull as full:
            seconds = str(full.retry_after_s)
            retry_after = (b"retry-after", seconds.encode())
            message = "the queue is full; retry later"
            raise ApiError(429, "overloaded_error", message, headers=[retry_after]) from None

    def _generations(
        self,
        call: GenerationCall,
        adapter: int,
        inbox: Inbox,
        grammar: Machine | None,
    ) -> list[Generation]:
        """`n` for every prompt. Raises: BadRequest."""
        request = call.request
        params = sampling_of(
            request,
            top_logprobs=call.scored_logprobs,
            vocabulary_size=self._vocabulary.size,
            grammar=grammar,
        )
        shown = self._reader.shown_tokens(call.tools.layout) if call.tools else frozenset()
        stops = stops_of(request)
        if call.must_call:
            # A call that has to be made is made as a whole: it ends where its grammar does.
            stops = []
        rooms = [self._max_tokens(prompt, call) for prompt in call.prompts]
        limits = limits_with_logprobs(call, rooms)
        generations: list[Generation] = []
        for prompt, max_tokens in zip(call.prompts, limits, strict=True):
            for choice in range(call.best_of):
                generation = Generation(
                    prompt,
                    params_of_choice(params, choice),
                    max_tokens=max_tokens,
                    stops=stops,
                    deliver=inbox.put_nowait,
                    adapter=adapter,
                    index=len(generations),
                    shown=shown,
                    scores_prompt=call.scores_prompts,
                )
                generations.append(generation)
        return generations

    def _max_tokens(self, prompt: Tokens, call: GenerationCall) -> int:
        """As many as were asked for and as there is room for. Raises: BadRequest."""
        if not prompt:
            raise BadRequest("the prompt is empty", param=call.prompt_field)
        limit = call.max_tokens
        room = self._context - len(prompt)
        if limit == 0 and call.echoes is not None and room >= 0:
            return 0
        if room < 1:
            raise self._reader.beyond_context(f"{len(prompt)} tokens", call.prompt_field)
        if limit is None:
            return room
        if limit == 0:
            field = call.request.limit_field
            raise BadRequest(f"{field}: must be at least 1", param=field)
        return min(limit, room)


def limits_with_logprobs(call: GenerationCall, limits: list[int]) -> list[int]:
    """Most tokens of an answer to each prompt, as many as there are log-probabilities for.

    Nobody is refused for room that they did not ask for: such an answer ends with `length`.
    Raises: BadRequest for more than one answer tells.
    """
    if call.scored_logprobs < 0:
        return limits
    each = call.best_of * (1 + call.scored_logprobs)
    scored = sum(map(len, call.prompts)) if call.scores_prompts else 0
    room = MOST_LOGPROBS // each - scored
    wanted = 0 if call.request.stream else sum(limits)
    if wanted <= room:
        return limits
    share = room // len(limits)
    if call.max_tokens is None and share > 0:
        return [min(limit, share) for limit in limits]
    told = (scored + wanted) * each
    message = f"logprobs: up to {told:,} in one answer; this server tells {MOST_LOGPROBS:,}"
    if room >= 0:
        message += f": give a smaller {call.request.limit_field}, or stream"
    raise BadRequest(message, param="logprobs")


def check_template_fields(fields: Mapping[str, object]) -> None:
    """Raises: BadRequest for what the server itself says to the template."""
    for name in fields:
        if name in RESERVED_FIELDS:
            field = "chat_template_kwargs"
            raise BadRequest(f"{field}: {name} cannot be set there", param=field)


def params_of_choice(params: SamplingParams, choice: int) -> SamplingParams:
    """Each choice of a seeded request has its own seed, or all would be the same."""
    if params.seed is None:
        return params
    seed = params.seed + choice
    return msgspec.structs.replace(params, seed=seed)
