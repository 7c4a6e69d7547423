"""Names in the file that stand for something elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.discovery import DiscoverConfig
from llmops_cli.gateway_file.oddities import oddities_in
from llmops_cli.gateway_file.read import read_file
from llmops_cli.gateway_file.references import Kind, references_in
from llmops_cli.gateway_file.upstream import UpstreamConfig

ENGINES = """\
upstreams:
  chats: {engine: llamacpp, model: demo}
  tuned: {engine: llamacpp, model: ./small, options: {lora: "law=a.gguf"}}
  other: {engine: llamacpp, model: demo, options: {binary: /bin/llama-server}}
  there: {url: http://127.0.0.1:9/v1}
"""
FULL = """\
upstreams:
  one: {url: http://127.0.0.1:9/v1}
  two: {engine: llamacpp, model: demo, options: {lora: "law=a.gguf"}}
models:
  small: {pool: [one]}
  demo:
    live: blue
    colours: {blue: [two, {upstream: two, model: law}]}
    adapters: [law]
    fallback: [small]
    hybrid: {small: small}
    cache: {semantic: {model: small}}
    canary: {use: [{upstream: two, model: ./demo}]}
    shadow: {use: [two]}
    rules:
    - {keys: [team], use: [two]}
limits: {models: {small: {streams: 3}}}
cache: {semantic: {model: small}}
tags: [team]
"""
NAMES_NOTHING = {
    "fields",  # of bodies, which only upstreams know
    "last_answer",
    "endpoints",
    "can",
    "steps",
}
OF_THE_MACHINE = {
    "guard",
    "prompts",
    "hosts",
    "traces",
    "trusted_proxies",
    "origins",
    "url",
    "media_hosts",
}
REFERS = {
    "pool",
    "colours",
    "live",
    "use",
    "fallback",
    "adapters",
    "small",
    "model",
    "upstream",
    "keys",
    "tags",
    "models",
}
DEFINES = {"upstreams", "prefix"}
HOW_SOMEBODY_IS_REACHED = (UpstreamConfig, DiscoverConfig)


def refusal(tmp_path: Path, text: str) -> str:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_file(file)
    return f"{caught.value.message}; {caught.value.hint}"


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (
            "  chat: {pool: [{upstream: chats, model: dmeo}]}",
            "models.chat.pool.0.model: upstream chats serves demo, and no dmeo",
        ),
        (
            "  chat: {pool: [tuned]}",
            "models.chat.pool.0: upstream tuned serves law, small, and no chat",
        ),
        (
            "  small: {pool: [tuned], adapters: [lwa]}",
            "models.small.adapters.0: upstream tuned loads no adapter lwa",
        ),
        (
            "  law: {pool: [there], shadow: {use: [{upstream: chats, model: law}]}}",
            "models.law.shadow.use.0.model: upstream chats serves demo, and no law",
        ),
    ],
)
def test_engines_of_the_file_serve_what_pools_ask_of_them(
    tmp_path: Path, models: str, said: str
) -> None:
    assert said in refusal(tmp_path, f"{ENGINES}models:\n{models}\n")


def test_names_that_an_engine_has_or_does_not_look_at_are_right(tmp_path: Path) -> None:
    """One that serves a single model is asked for that by whatever name clients have for it."""
    file = tmp_path / "gateway.yaml"
    pools = [
        "[chats]",
        "[{upstream: chats, model: demo}]",
        "[{upstream: tuned, model: ./small}]",
        "[{upstream: tuned, model: law}]",
        "[{upstream: other, model: anything}]",
        "[{upstream: there, model: anything}]",
    ]
    models = "\n".join(f"  m{number}: {{pool: {pool}}}" for number, pool in enumerate(pools))
    file.write_text(f"{ENGINES}models:\n{models}\n")
    config = read_file(file).config
    assert [mistake.message for mistake in oddities_in(config)] == []


def test_a_shadow_need_not_have_the_adapters(tmp_path: Path) -> None:
    """Copies of their requests fail there, and no client waits for them."""
    file = tmp_path / "gateway.yaml"
    model = "  small: {pool: [tuned], adapters: [law], shadow: {use: [chats]}}"
    file.write_text(f"{ENGINES}models:\n{model}\n")
    assert read_file(file).config.models["small"].shadow is not None


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("limits: {models: {dmeo: {streams: 3}}}", "limits.models.dmeo: unknown model 'dmeo'"),
        ("cache: {semantic: {model: minilm}}", "cache.semantic.model: unknown model 'minilm'"),
    ],
)
def test_without_models_engines_say_which_there_are(tmp_path: Path, rest: str, said: str) -> None:
    engines = "upstreams: {one: {engine: llamacpp, model: demo}}\n"
    assert said in refusal(tmp_path, f"{engines}{rest}\n")
    file = tmp_path / "gateway.yaml"
    file.write_text(f"upstreams: {{one: {{url: http://127.0.0.1:9}}}}\n{rest}\n")
    assert read_file(file).config.models == {}, "only the upstream knows"


def test_an_adapter_that_nobody_can_ask_for_is_told(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    models = "models: {a: {pool: [there]}, small: {pool: [{upstream: tuned, model: small}]}}\n"
    file.write_text(ENGINES + models)
    messages = [mistake.message for mistake in oddities_in(read_file(file).config)]
    assert "no model has the adapter law, so nobody can ask for it" in messages


def test_each_name_of_a_file_is_told_or_refused_where_it_stands_for_nothing(tmp_path: Path) -> None:
    """Put in another name, one place at a time."""
    file = tmp_path / "gateway.yaml"
    file.write_text(FULL)
    found = list(references_in(read_file(file).config))
    assert {each.kind for each in found} == set(Kind)
    here = [each for each in found if each.kind not in (Kind.KEY, Kind.TAG)]
    for each in here:
        if each.kind is Kind.SAME_NAME_THERE:
            continue  # a model's own name, which is defined and not referred to
        wrong = msgspec.yaml.decode(FULL.encode())
        _put_nobody(wrong, each.place)
        text = msgspec.yaml.encode(wrong).decode()
        assert "nobody" in refusal(tmp_path, text), each


def _put_nobody(values: Any, place: tuple[str | int, ...]) -> None:
    *steps, last = place
    for step in steps:
        values = values[step]
    if steps[-1] == "models":
        values["nobody"] = values.pop(last)
    elif isinstance(values[last], dict):
        values[last]["upstream"] = "nobody"
    else:
        values[last] = "nobody"


def test_each_text_of_the_file_is_known_to_be_a_name_or_none() -> None:
    """A new field with a name is collected by `references_in`, or stands here as something else."""
    known = NAMES_NOTHING | OF_THE_MACHINE | REFERS | DEFINES
    assert set(_fields_with_text(GatewayConfig)) - known == set()


def _fields_with_text(kind: type[msgspec.Struct]) -> Iterator[str]:
    for name, of in get_type_hints(kind).items():
        parts = list(_parts(of))
        if any(part is str for part in parts):
            yield name
        for part in parts:
            is_section = isinstance(part, type) and issubclass(part, msgspec.Struct)
            if is_section and part not in HOW_SOMEBODY_IS_REACHED:
                yield from _fields_with_text(part)


def _parts(of: Any) -> Iterator[Any]:
    inner = get_args(of)
    if not inner:
        yield of
    for each in inner:
        yield from _parts(each)
