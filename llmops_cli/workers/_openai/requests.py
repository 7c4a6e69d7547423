"""A request's body as what is to be computed. Standard library only."""

from collections.abc import Collection

from _openai.abilities import OF_CHATS, OF_COMPLETIONS, OF_DRAWS, OF_TOKENIZING
from _openai.engine import TokenEngine
from _openai.errors import RequestError
from _openai.fields import Fields, wrong
from _openai.generation import GenerationRequest
from _openai.prompts import PromptReader
from _openai.sampling import sampling_of
from _shared.request_fields import FieldError, check_fields

MOST_STOPS = 16
DEFAULT_COMPLETION_TOKENS = 16
"""OpenAI's, for /v1/completions; a chat may use all the room there is."""


class RequestReader:
    """Reads bodies for one engine."""

    def __init__(self, engine: TokenEngine) -> None:
        self._engine = engine
        self._prompts = PromptReader(engine)

    def tokens(self, fields: Fields) -> list[int]:
        """Of a chat if it has messages, else of its prompt. Raises: RequestError."""
        self._check_fields(fields, OF_TOKENIZING)
        if fields.raw("messages") is not None:
            return self._prompts.chat(fields)
        return self._prompts.plain(fields)

    def generation(self, fields: Fields, *, chat: bool) -> GenerationRequest:
        """Raises: RequestError for what cannot be served."""
        engine = self._engine
        sampling = sampling_of(fields, vocabulary_size=engine.vocabulary_size)
        known = engine.abilities | (OF_CHATS if chat else OF_COMPLETIONS)
        if sampling.is_greedy:
            known |= OF_DRAWS
        self._check_fields(fields, known)
        limit = token_limit(fields, chat=chat)
        model = self._model(fields)
        stops = stops_of(fields)
        options = fields.record("stream_options")
        prompt = self._prompts.chat(fields) if chat else self._prompts.plain(fields)
        room = engine.context - len(prompt)
        return GenerationRequest(
            model=model,
            prompt=prompt,
            max_tokens=min(limit or room, room),
            sampling=sampling,
            ignore_eos=fields.flag("ignore_eos"),
            chat=chat,
            stops=stops,
            is_streamed=fields.flag("stream"),
            with_usage=options.flag("include_usage"),
        )

    def _check_fields(self, fields: Fields, known: Collection[str]) -> None:
        try:
            check_fields(fields.values(), known=known, server=self._engine.label)
        except FieldError as error:
            raise RequestError(str(error), param=error.field) from error

    def _model(self, fields: Fields) -> str:
        """The first one if none is named."""
        models = self._engine.models
        model = fields.text("model") or models[0]
        if model not in models:
            known = ", ".join(models)
            message = f"The model `{model}` does not exist; there is {known}."
            raise RequestError(message, param="model", status=404)
        return model


def token_limit(fields: Fields, *, chat: bool) -> int | None:
    """None: as many as there is room for. Raises: RequestError."""
    for name in ("max_completion_tokens", "max_tokens"):
        limit = fields.integer(name)
        if limit is None:
            continue
        if limit < 1:
            raise wrong(name, "must be at least 1", limit)
        return limit
    return None if chat else DEFAULT_COMPLETION_TOKENS


def stops_of(fields: Fields) -> tuple[str, ...]:
    """Raises: RequestError."""
    stops = fields.raw("stop")
    if stops is None:
        return ()
    if isinstance(stops, str):
        stops = [stops]
    are_texts = isinstance(stops, list) and all(isinstance(stop, str) for stop in stops)
    if not are_texts or len(stops) > MOST_STOPS:
        raise wrong("stop", f"must be a string or at most {MOST_STOPS} strings", stops)
    if "" in stops:
        raise wrong("stop", "cannot contain an empty string", stops)
    return tuple(stops)
