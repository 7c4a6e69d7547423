"""The two endpoints that generate: from a request's body to its generations and their answer."""

import asyncio
from collections.abc import Mapping

import msgspec

from _shared.grammars.compiled import GrammarCache
from _shared.grammars.machine import Machine
from llamacpp.server.answers import Inbox, collect_answer, stream_answer, watch_disconnect
from llamacpp.server.asgi import Receive, Send, apart, read_body
from llamacpp.server.errors import ApiError, BadRequest
from llamacpp.server.generation import Generation
from llamacpp.server.grammars import grammar_of
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
from llamacpp.server.tools import ToolUse, tool_use_of

CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"
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
    def has_form(self) -> bool:
        """Whether its answers are held to a grammar."""
        is_call = self.tools is not None and self.tools.grammar is not None
        return is_call or self.request.has_form

    @property
    def scored_logprobs(self) -> int:
        """What the sampler has to say: to choose the best, at least the tokens' own."""
        if self.best_of > self.request.n:
            return max(0, self.top_logprobs)
        return self.top_logprobs

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
        models: list[str],
        context: int,
    ) -> None:
        """`models`: the model's name, then those of its adapters, in their order."""
        self._reader = reader
        self._vocabulary = reader.vocabulary
        self._scheduler = scheduler
        self._metrics = metrics
        self._models = models
        self._context = context
        self._grammars = GrammarCache()

    async def chat(self, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        request = await apart(body, lambda: decode(body, ChatRequest))
        check_chat(request)
        check_template_fields(request.chat_template_kwargs)
        tools = None
        if request.tools or request.tool_choice:
            # In a thread of its own, here and below: a large schema takes its time.
            tools = await asyncio.to_thread(self._tool_use, request)
        call = await apart(body, lambda: self._chat_call(request, tools))
        await self._answer(call, receive, send)

    def _chat_call(self, request: ChatRequest, tools: ToolUse | None) -> GenerationCall:
        prompt = self._reader.chat(
            request.messages,
            tools=request.tools if tools else None,
            fields=request.chat_template_kwargs,
            opening=tools.opening if tools else "",
        )
        return GenerationCall(
            chat=True,
            tools=tools,
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
            self._grammars,
            has_several=request.parallel_tool_calls,
        )
        if use is not None and use.grammar is not None and request.has_form:
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
            best_of=request.best_of or request.n,
        )

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
        grammar = None
        if call.has_form:
            grammar = await asyncio.to_thread(self._grammar, call)
        generations = self._generations(call, adapter, inbox, grammar)
        self._submit(generations)
        encoder = ResponseEncoder(self._vocabulary, chat=call.chat, model=model)
        watcher = asyncio.create_task(watch_disconnect(receive, inbox))
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
            watcher.cancel()
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
        if call.tools is not None and call.tools.grammar is not None:
            # A call that has to be made is made as a whole: it ends where its grammar does.
            stops = []
        generations: list[Generation] = []
        for prompt in call.prompts:
            max_tokens = self._max_tokens(prompt, call)
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
                    scores_prompt=call.echoes is not None and call.top_logprobs >= 0,
                )
                generations.append(generation)
        return generations

    def _grammar(self, call: GenerationCall) -> Machine | None:
        """Raises: BadRequest."""
        if call.tools is not None and call.tools.grammar is not None:
            return call.tools.grammar
        request = call.request
        return grammar_of(request.grammar, request.response_format, self._grammars)

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
