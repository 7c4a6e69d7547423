"""What the gateway must know of each path.

Who may use it, which fields of a body hold text or limits, how its answers are read, and what
upstreams are asked. A new endpoint is one more of these.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

from llmops_cli.serve.answers.dialects.chat import ChatChoices
from llmops_cli.serve.answers.dialects.choice_texts import Json, TextPlace, places_of_whole
from llmops_cli.serve.answers.dialects.choices import ChoiceFormat
from llmops_cli.serve.answers.dialects.completions import TextChoices
from llmops_cli.serve.answers.dialects.dialect import Dialect, OpenAI, chat_dialect
from llmops_cli.serve.answers.dialects.messages import Messages, messages_to_count
from llmops_cli.serve.answers.dialects.responses import places_of_response
from llmops_cli.serve.field_tables import (
    CHAT_FIELDS,
    COMPLETION_FIELDS,
    EMBEDDING_FIELDS,
    MODERATION_FIELDS,
    RESPONSE_FIELDS,
)
from llmops_cli.serve.fields import FieldTable, limits_in
from llmops_cli.serve.request import RequestBody, head_of


def no_places(answer: Json) -> list[TextPlace]:
    """Of answers that say nothing in words."""
    del answer
    return []


class AnswerKind(StrEnum):
    """What a whole answer is.

    MEDIA: JSON, most of which is images. TEXT: JSON, or a text as it is. SOUND: nothing to read.
    """

    JSON = "json"
    MEDIA = "media"
    TEXT = "text"
    SOUND = "sound"


OF_JSON = (AnswerKind.JSON, AnswerKind.MEDIA)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A path that takes a body.

    `right`: what a key's role must allow. `operation`: OpenTelemetry's name for it.
    `required`: fields that a body must have, the prompt last; `missing`: what is said without it.
    `fields`: every field that a body may have, and what it carries; `answer_limits`: those that
    bound an answer's tokens, looked up once.
    `bound`: the field in which the gateway itself bounds an answer.
    `choices`: how an answer's choices look; streams of them end with [DONE]. None: it has none.
    `places`: where texts stand in a whole answer.
    `pairs`: two texts are read together, a question with each document.
    `logprobs`: how sure a model was of an answer can be asked for.
    `caches`: an answer may be given again. `streams`: it can come as events.
    `files`: those of a form, which bodies are then.
    `prompts`: a body may name one of the gateway's.
    `translated_to`: the endpoint that upstreams have in its place.
    """

    path: str
    right: str
    summary: str
    operation: str = ""
    required: tuple[str, ...] = ("model", "input")
    missing: str = ""
    may_be_empty: bool = True
    fields: FieldTable = {}
    answer_limits: tuple[str, ...] = ()
    bound: str | None = None
    choices: ChoiceFormat | None = None
    places: Callable[[Json], list[TextPlace]] = no_places
    pairs: bool = False
    logprobs: bool = False
    caches: bool = True
    streams: bool = False
    files: tuple[str, ...] = ()
    prompts: bool = False
    answers: AnswerKind = AnswerKind.JSON
    dialect: Callable[[], Dialect] = OpenAI
    translated_to: Endpoint | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        return ("POST",)

    @property
    def target(self) -> Endpoint:
        """What upstreams are asked."""
        return self.translated_to or self

    @property
    def prompt(self) -> str:
        """The field that is answered."""
        return self.required[-1]

    def head(self, body: RequestBody) -> str:
        """Where the prompt begins."""
        return head_of(getattr(body, self.prompt))

    def answer_tokens(self, body: RequestBody) -> int | None:
        """The most tokens of one answer; None: the body does not say."""
        said = [getattr(body, name) for name in self.answer_limits]
        return max((each for each in said if each is not None), default=None)

    def lacks(self, body: RequestBody) -> str | None:
        """What is wrong with a body that has no model, or nothing to answer."""
        if "model" in self.required and not body.model:
            return "the body has no model"
        value = getattr(body, self.prompt)
        if not isinstance(value, str | list) or not (value or self.may_be_empty):
            return self.missing
        return None


class PageEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A path that is read. `right`: None for what tells nothing of anybody.

    `changes`: what a POST to it does, if it takes one; that needs a key in any case.
    """

    path: str
    right: str | None
    summary: str
    media_type: str = "application/json"
    statuses: tuple[str, ...] = ()
    changes: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        return ("GET", "HEAD", "POST") if self.changes else ("GET", "HEAD")


CHAT = Endpoint(
    path="/v1/chat/completions",
    right="chat",
    summary="Chat",
    operation="chat",
    required=("model", "messages"),
    missing="a chat needs messages",
    may_be_empty=False,
    fields=CHAT_FIELDS,
    answer_limits=limits_in(CHAT_FIELDS),
    dialect=chat_dialect,
    bound="max_tokens",
    choices=ChatChoices(),
    places=places_of_whole,
    logprobs=True,
    prompts=True,
    streams=True,
)
COMPLETIONS = Endpoint(
    path="/v1/completions",
    right="completions",
    summary="Text",
    operation="text_completion",
    required=("model", "prompt"),
    missing="a completion needs a prompt",
    fields=COMPLETION_FIELDS,
    answer_limits=limits_in(COMPLETION_FIELDS),
    bound="max_tokens",
    choices=TextChoices(),
    places=places_of_whole,
    streams=True,
)
EMBEDDINGS = Endpoint(
    path="/v1/embeddings",
    right="embeddings",
    summary="Vectors",
    operation="embeddings",
    missing="/v1/embeddings needs an input",
    fields=EMBEDDING_FIELDS,
)
RESPONSES = Endpoint(
    path="/v1/responses",
    right="responses",
    summary="OpenAI's Responses, where the upstream has them",
    operation="chat",
    missing="/v1/responses needs an input",
    fields=RESPONSE_FIELDS,
    answer_limits=limits_in(RESPONSE_FIELDS),
    bound="max_output_tokens",
    places=places_of_response,
    caches=False,
    streams=True,
)
MESSAGES = Endpoint(
    path="/v1/messages",
    right="messages",
    summary="Anthropic's Messages, translated",
    operation="chat",
    required=("model", "max_tokens", "messages"),
    missing="a chat needs messages",
    may_be_empty=False,
    fields=CHAT.fields,
    answer_limits=CHAT.answer_limits,
    bound=CHAT.bound,
    dialect=Messages,
    prompts=True,
    translated_to=CHAT,
    streams=True,
)
COUNT_TOKENS = Endpoint(
    path="/v1/messages/count_tokens",
    right="messages",
    summary="Tokens of a prompt in the form of Anthropic's Messages",
    required=("model", "messages"),
    missing="a chat needs messages",
    may_be_empty=False,
    fields=CHAT.fields,
    answer_limits=CHAT.answer_limits,
    dialect=messages_to_count,
    prompts=True,
    translated_to=CHAT,
    caches=False,
)
MODERATIONS = Endpoint(
    path="/v1/moderations",
    right="moderations",
    summary="The guard's opinion",
    required=("input",),
    missing="/v1/moderations needs an input",
    fields=MODERATION_FIELDS,
    caches=False,
)
FEEDBACK = Endpoint(
    path="/v1/feedback",
    right="feedback",
    summary="What a user says of an answer",
    required=("request",),
    caches=False,
)
"""Where the file turns it on."""
NOWHERE = Endpoint(path="", right="", summary="")
"""Of a request for a page, or for nothing that there is."""

MODELS = PageEndpoint(
    path="/v1/models",
    right="models",
    summary="The models that the key may use",
    statuses=("401", "403", "503"),
)
MODEL = PageEndpoint(
    path="/v1/models/{model}",
    right="models",
    summary="One of them",
    statuses=(*MODELS.statuses, "404"),
)
MODEL_PREFIX = f"{MODELS.path}/"
METRICS = PageEndpoint(
    path="/metrics",
    right="metrics",
    summary="Prometheus",
    media_type="text/plain",
    statuses=MODELS.statuses,
)
STATE = PageEndpoint(
    path="/admin/state", right="admin", summary="What /ui shows", statuses=MODELS.statuses
)
DEPLOYMENTS = PageEndpoint(
    path="/admin/deployments",
    right="admin",
    summary="Canaries, the configuration that is served, and the history of both",
    statuses=MODELS.statuses,
    changes="Begins, promotes or rolls back a canary, or puts the configuration before back",
)
HEALTH = PageEndpoint(path="/health", right=None, summary="Alive")
READY = PageEndpoint(
    path="/ready",
    right=None,
    summary="Every model has an upstream that can be asked",
    statuses=("503",),
)
UI = PageEndpoint(path="/ui", right=None, summary="The dashboard", media_type="text/html")
OPENAPI = PageEndpoint(path="/openapi.json", right=None, summary="This document")

ENDPOINTS = {
    endpoint.path: endpoint
    for endpoint in (
        CHAT,
        COMPLETIONS,
        EMBEDDINGS,
        RESPONSES,
        MESSAGES,
        COUNT_TOKENS,
        MODERATIONS,
    )
}
WHOLE_NUMBERS = frozenset(
    name
    for endpoint in ENDPOINTS.values()
    for name, field in endpoint.fields.items()
    if field.is_whole
)
"""Fields that count something: 5.0 is 5 there."""
PAGES = {
    page.path: page
    for page in (MODELS, MODEL, METRICS, STATE, DEPLOYMENTS, HEALTH, READY, UI, OPENAPI)
}


def page_at(path: str) -> PageEndpoint | None:
    """A model's name may have slashes in it."""
    found = PAGES.get(path)
    if found is None and path.startswith(MODEL_PREFIX):
        return MODEL
    return found


def dialect_at(path: str) -> Dialect:
    """How whoever asks there speaks, even if there is nothing at that path."""
    if path.startswith(MESSAGES.path):
        return MESSAGES.dialect()
    return OpenAI()
