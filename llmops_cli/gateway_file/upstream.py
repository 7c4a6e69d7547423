"""An upstream of the gateway's file: where it answers, what it can do, what it costs."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from llmops_cli.gateway_file.discovery import DiscoverConfig
from llmops_cli.gateway_file.quantities import AboveZero, Count, Dollars, Replicas, Seconds
from llmops_cli.runtime.chat_endpoint import Dialect

Capability = Literal["vision", "tools", "json"]
OptionValue = str | int | float | bool
PublicPrice = Literal["genai"]
AUTHORIZATION = "Authorization"
ANTHROPICS_KEY = "x-api-key"
HOUR_S = 3600
MILLION = 1_000_000
CAPABILITIES: tuple[Capability, ...] = ("vision", "tools", "json")


class TokenPrice(NamedTuple):
    """Dollars of one token of a prompt, and of an answer."""

    input: float
    output: float


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Dollars of one token of each kind.

    `long`: of every token where the prompt has more than `long_above`.
    """

    input: float
    output: float
    cached_input: float
    cache_write: float
    reasoning: float
    audio_input: float
    audio_output: float
    long_above: int = 0
    long: Rates | None = None

    def cost(
        self,
        input_tokens: int,
        output_tokens: int,
        *,
        cached_tokens: int = 0,
        cache_write_tokens: int = 0,
        reasoning_tokens: int = 0,
        audio_input_tokens: int = 0,
        audio_output_tokens: int = 0,
    ) -> float:
        """Dollars. What is told apart is some of the input's or of the output's, each once."""
        if self.long is not None and input_tokens > self.long_above:
            return self.long.cost(
                input_tokens,
                output_tokens,
                cached_tokens=cached_tokens,
                cache_write_tokens=cache_write_tokens,
                reasoning_tokens=reasoning_tokens,
                audio_input_tokens=audio_input_tokens,
                audio_output_tokens=audio_output_tokens,
            )
        cache = self.cached_input * cached_tokens + self.cache_write * cache_write_tokens
        thought = self.reasoning * reasoning_tokens
        sound = self.audio_input * audio_input_tokens + self.audio_output * audio_output_tokens
        read = input_tokens - cached_tokens - cache_write_tokens - audio_input_tokens
        written = output_tokens - reasoning_tokens - audio_output_tokens
        return self.input * read + self.output * written + cache + thought + sound

    def at_most(self, input_tokens: int, output_tokens: int, *, sounds: bool = False) -> float:
        """Dollars of so many tokens of the dearest kinds, and of any number below.

        `sounds`: some of them may be of sound.
        """
        read = max(self.input, self.cached_input, self.cache_write)
        written = max(self.output, self.reasoning)
        if sounds:
            read = max(read, self.audio_input)
            written = max(written, self.audio_output)
        found = read * input_tokens + written * output_tokens
        if self.long is not None and input_tokens > self.long_above:
            return max(found, self.long.at_most(input_tokens, output_tokens, sounds=sounds))
        return found


class LongPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dollars per million tokens of requests whose prompt has more than `above`."""

    above: Count
    input: Dollars
    output: Dollars
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dollars per million tokens, or what an hour of the machine costs.

    `cached_input`: of a prompt's tokens that an upstream found in its cache, as dear as others if
    nothing is said; `cache_write`: of those that it put there; `reasoning`: of what a model
    thought, as dear as its answer; `audio_input`, `audio_output`: of sound, as dear as text.
    `long`: where long prompts cost more. `tokens_per_s` is what the machine of `gpu_hour` makes.
    """

    input: Dollars | None = None
    output: Dollars | None = None
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None
    reasoning: Dollars | None = None
    audio_input: Dollars | None = None
    audio_output: Dollars | None = None
    long: LongPrice | None = None
    gpu_hour: Dollars | None = None
    tokens_per_s: AboveZero | None = None

    def per_token(self) -> TokenPrice:
        if self.gpu_hour is not None and self.tokens_per_s:
            dollars_per_s = self.gpu_hour / HOUR_S
            each = dollars_per_s / self.tokens_per_s
            return TokenPrice(each, each)
        prompt = self.input or 0.0
        answer = self.output or 0.0
        return TokenPrice(
            input=prompt / MILLION,
            output=answer / MILLION,
        )

    def rates(self) -> Rates:
        each = self.per_token()
        long = self.long
        return Rates(
            input=each.input,
            output=each.output,
            cached_input=_per_token(self.cached_input, each.input),
            cache_write=_per_token(self.cache_write, each.input),
            reasoning=_per_token(self.reasoning, each.output),
            audio_input=_per_token(self.audio_input, each.input),
            audio_output=_per_token(self.audio_output, each.output),
            long_above=long.above if long else 0,
            long=_long_rates(self, long) if long else None,
        )


def _long_rates(price: Price, long: LongPrice) -> Rates:
    """Sound is as dear as in short prompts, and never cheaper than text."""
    read = long.input / MILLION
    written = long.output / MILLION
    return Rates(
        input=read,
        output=written,
        cached_input=_per_token(long.cached_input, read),
        cache_write=_per_token(long.cache_write, read),
        reasoning=written,
        audio_input=max(read, _per_token(price.audio_input, read)),
        audio_output=max(written, _per_token(price.audio_output, written)),
    )


def _per_token(dollars: float | None, otherwise: float) -> float:
    """Of dollars per million."""
    return otherwise if dollars is None else dollars / MILLION


class TimeoutsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To connect, to the first byte of an answer, between two chunks of it, and in all."""

    connect_s: Seconds = 5.0
    first_byte_s: Seconds = 300.0
    between_s: Seconds = 120.0
    total_s: Seconds = 900.0


class UpstreamConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `url`, or an `engine` and `model` to start, or where to `discover` its members.

    `key_header`: where its key stands, as `Bearer KEY` if that is Authorization. `headers` and
    `query` are sent with each request; like `url` they may hold `${VAR}` and `${file:PATH}`, whose
    values stand in no configuration. `{model}` in a url is the upstream's name of the model.
    `dialect`: how it is spoken to; clients speak to the gateway as they do. `prompt_cache`: in
    Anthropic's, prompts are marked for its cache.
    `price` is numbers, or `genai` for the public table's. `can`: what it can do, if not
    everything. `count_tokens` is false for one that knows no `stream_options`, `effort` for one
    that knows no `reasoning_effort`.
    """

    url: str | None = None
    engine: str | None = None
    model: str | None = None
    dialect: Dialect = "openai"
    options: dict[str, OptionValue] = {}
    replicas: Replicas = 1
    discover: DiscoverConfig | None = None
    key_env: str | None = None
    key_file: str | None = None
    key_header: str = AUTHORIZATION
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    price: Price | PublicPrice | None = None
    can: list[Capability] | None = None
    max_in_flight: Count | None = None
    timeouts: TimeoutsConfig = TimeoutsConfig()
    count_tokens: bool = True
    effort: bool = True
    prompt_cache: bool = False

    @property
    def started_model(self) -> str:
        """What its engine serves."""
        return self.model or "demo"

    @property
    def is_anthropic(self) -> bool:
        return self.dialect == "anthropic"

    @property
    def key_stands_in(self) -> str:
        """The header of its key. Anthropic's keys are no bearer tokens."""
        is_said = self.key_header.lower() != AUTHORIZATION.lower()
        return ANTHROPICS_KEY if self.is_anthropic and not is_said else self.key_header

    def engine_options(self) -> dict[str, str]:
        """As `--set` has them: text."""
        texts = {}
        for name, value in self.options.items():
            texts[name] = option_text(value)
        return texts


def option_text(value: object) -> str:
    """YAML's `true` is the text `true`, not Python's `True`."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
