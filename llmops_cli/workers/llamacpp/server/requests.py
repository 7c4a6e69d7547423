"""Request bodies in OpenAI's shapes, and their checks."""

from typing import Annotated, Any, TypeVar

import msgspec

from _shared.crowd import crowd_in
from _shared.grammars.machine import Machine
from _shared.messages import check_message, text_of
from _shared.request_fields import TEXT, FieldError, check_fields
from _shared.tools.history import with_arguments_as_objects
from _shared.wrong_body import wrong_body
from llamacpp.server.errors import BadRequest
from llamacpp.server.misfits import misfit_in
from llamacpp.server.sampling import SamplingParams

Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
TokenLimit = Annotated[int, msgspec.Meta(ge=0)]
TopK = Annotated[int, msgspec.Meta(ge=-1, le=(1 << 31) - 1)]
Repetition = Annotated[float, msgspec.Meta(ge=0.01, le=100)]
Seed = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
TopLogprobs = Annotated[int, msgspec.Meta(ge=0, le=20)]

# Any: a message holds what the model's template wants of it, beside its role and content.
ChatMessage = dict[str, Any]
Prompt = str | list[int]

MOST_STOPS = 16
MOST_BIAS = 100
DEFAULT_COMPLETION_TOKENS = 16
"""OpenAI's, for /v1/completions alone."""

Body = TypeVar("Body", bound=msgspec.Struct)


class RequestStreamOptions(msgspec.Struct, kw_only=True):
    include_usage: bool = False


class GenerationRequest(msgspec.Struct, kw_only=True):
    """Fields of both endpoints. Others are refused if they ask for something (`decode`)."""

    model: str = ""
    stream: bool = False
    stream_options: RequestStreamOptions | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] = 1
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    temperature: Temperature | None = None
    top_p: Ratio | None = None
    top_k: TopK | None = None
    min_p: Ratio | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Repetition | None = None
    seed: Seed | None = None
    stop: str | list[str] | None = None
    logit_bias: dict[int, float] | None = None
    ignore_eos: bool = False
    # Any: a JSON schema may stand in it.
    response_format: dict[str, Any] | None = None
    grammar: str | None = None

    @property
    def token_limit(self) -> int | None:
        """The newer name wins."""
        if self.max_completion_tokens is not None:
            return self.max_completion_tokens
        return self.max_tokens

    @property
    def limit_field(self) -> str:
        return "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"

    @property
    def has_form(self) -> bool:
        """Whether the answer is to be held to a form of the client's."""
        return bool(self.grammar) or self.has_response_format

    @property
    def has_response_format(self) -> bool:
        return bool(self.response_format) and self.response_format != TEXT

    @property
    def wants_usage_chunk(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(GenerationRequest, kw_only=True):
    messages: list[ChatMessage] = []
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    # Any, three times: tools as clients write them, and what only the model's template knows.
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool = True
    chat_template_kwargs: dict[str, Any] = {}

    @property
    def wanted_logprobs(self) -> int:
        """How many alternatives of each token; -1 for no log-probabilities at all."""
        if not self.logprobs:
            return -1
        return self.top_logprobs or 0


class CompletionRequest(GenerationRequest, kw_only=True):
    # Any: parts that `prompts_of` looks at, as 1.0 would be read as a token.
    prompt: str | list[Any] = ""
    logprobs: TopLogprobs | None = None
    echo: bool = False
    suffix: str | None = None
    best_of: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None

    @property
    def answer_limit(self) -> int:
        limit = self.token_limit
        return DEFAULT_COMPLETION_TOKENS if limit is None else limit

    @property
    def wanted_logprobs(self) -> int:
        """How many alternatives of each token; -1 for no log-probabilities at all."""
        if self.logprobs is None:
            return -1
        return self.logprobs


class TokenizeRequest(msgspec.Struct, kw_only=True):
    """`content` is llama-server's name, `prompt` vLLM's."""

    model: str = ""
    content: str | None = None
    prompt: str | None = None
    messages: list[ChatMessage] | None = None
    # Any, twice: tools as clients write them, and what only the model's template knows.
    tools: list[dict[str, Any]] | None = None
    chat_template_kwargs: dict[str, Any] = {}
    add_special_tokens: bool = True

    @property
    def text(self) -> str | None:
        if self.content is not None:
            return self.content
        return self.prompt


def decode(body: bytes, kind: type[Body]) -> Body:
    """Raises: BadRequest, also for a field that `kind` has not and that asks for something."""
    refuse_crowd(body)
    try:
        request = msgspec.json.decode(body, type=kind, strict=False)
        check_fields(others_in(body, kind), known=names_of(kind), server="the llama.cpp server")
    except msgspec.ValidationError as error:
        misfit = misfit_in(body, kind)
        raise BadRequest(misfit.text, param=misfit.field) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(wrong_body(body)) from error
    except RecursionError as error:
        raise BadRequest("the body is nested too deep") from error
    except FieldError as error:
        raise BadRequest(str(error), param=error.field) from error
    return request


def refuse_crowd(body: bytes) -> None:
    """Raises: BadRequest for a body whose reading would keep all other threads waiting."""
    crowd = crowd_in(body)
    if crowd is not None:
        raise BadRequest(f"the body has more than {crowd}")


def names_of(kind: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def others_in(body: bytes, kind: type[msgspec.Struct]) -> dict[str, object]:
    """The fields of a body that its kind of request has not."""
    given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    known = names_of(kind)
    return {name: msgspec.json.decode(value) for name, value in given.items() if name not in known}


def check_completion(request: CompletionRequest) -> None:
    """Raises: BadRequest for fields that do not go together."""
    check_form(request)
    best_of = request.best_of or request.n
    if best_of < request.n:
        raise BadRequest("best_of: it is below n", param="best_of")
    if request.stream and best_of > request.n:
        raise BadRequest("best_of: a stream cannot have it", param="best_of")
    if request.echo and request.suffix:
        raise BadRequest("suffix: it cannot stand beside echo", param="suffix")


def check_form(request: GenerationRequest) -> None:
    """Raises: BadRequest for two forms of one answer."""
    if request.grammar and request.has_response_format:
        raise BadRequest("grammar: it cannot stand beside response_format", param="grammar")


def check_chat(request: ChatRequest) -> None:
    """Raises: BadRequest for fields that do not go together."""
    check_form(request)
    if request.top_logprobs and not request.logprobs:
        raise BadRequest("top_logprobs: it needs logprobs to be true", param="top_logprobs")


def sampling_of(
    request: GenerationRequest,
    *,
    top_logprobs: int,
    vocabulary_size: int,
    grammar: Machine | None = None,
) -> SamplingParams:
    """Raises: BadRequest for a token id that is not there."""
    bias = request.logit_bias or {}
    check_bias(bias, vocabulary_size)
    # Any: the types differ by name, and those of the request are those of the parameters.
    named: dict[str, Any] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "min_p": request.min_p,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "repetition_penalty": request.repetition_penalty,
        "seed": request.seed,
    }
    return SamplingParams(
        **without_none(named),
        logit_bias=bias,
        ignore_eos=request.ignore_eos,
        grammar=grammar,
        top_logprobs=top_logprobs,
    )


def without_none(fields: dict[str, Any]) -> dict[str, Any]:
    """What was given; for the rest the parameters have defaults of their own."""
    return {name: value for name, value in fields.items() if value is not None}


def check_bias(bias: dict[int, float], vocabulary_size: int) -> None:
    """Raises: BadRequest."""
    for token, value in bias.items():
        if not 0 <= token < vocabulary_size:
            known = f"0 to {vocabulary_size - 1}"
            message = f"logit_bias: token {token} is not in the vocabulary ({known})"
            raise BadRequest(message, param="logit_bias")
        if not -MOST_BIAS <= value <= MOST_BIAS:
            message = f"logit_bias: {value} is not from -{MOST_BIAS} to {MOST_BIAS}"
            raise BadRequest(message, param="logit_bias")


def stops_of(request: GenerationRequest) -> list[str]:
    """Raises: BadRequest if there are too many."""
    stops = request.stop or []
    if isinstance(stops, str):
        return [stops]
    if len(stops) > MOST_STOPS:
        raise BadRequest(f"stop: at most {MOST_STOPS} strings", param="stop")
    return stops


def prompts_of(request: CompletionRequest) -> list[Prompt]:
    """OpenAI takes a text, a list of texts, a list of token ids, or a list of such lists.

    Raises: BadRequest if they are mixed, or anything else.
    """
    given = request.prompt
    if isinstance(given, str):
        return [given]
    if given and are_tokens(given):
        return [given]
    if all(isinstance(part, str) for part in given) or all(map(are_tokens, given)):
        return given or [""]
    message = "prompt: a text, texts, token ids or lists of token ids, not mixed"
    raise BadRequest(message, param="prompt")


def are_tokens(part: object) -> bool:
    return isinstance(part, list) and all(type(token) is int for token in part)


def flatten(message: ChatMessage, place: str = "") -> ChatMessage:
    """Content in text parts becomes one string, which is what templates of text models expect.

    Raises: BadRequest.
    """
    try:
        check_message(message, place)
    except FieldError as error:
        raise BadRequest(str(error), param=error.field) from error
    text = text_of(message.get("content"))
    return {**with_arguments_as_objects(message), "content": text}
