"""What a configuration needs of the machine that it is to run on: variables, a policy, prices."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.gateway_file.combinations import pools_of
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.credentials import mistakes_in_values
from llmops_cli.gateway_file.mistake import Mistake, Mistakes, below
from llmops_cli.gateway_file.model import ModelConfig, PoolMember, upstream_of
from llmops_cli.gateway_file.prices import public_price
from llmops_cli.gateway_file.served import options_of
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.runtime.paths import at_home, is_there

DEFAULT_POLICY = "default"
POLICY_HINT = "guard: default, or a policy's file beside this one"
"""The guard's own policy, which is no file."""


def mistakes_here(config: GatewayConfig, folder: Path) -> Mistakes:
    """`folder` is the file's. Raises: EnvironmentMissing without the table of public prices."""
    for name, upstream in config.upstreams.items():
        place = ("upstreams", name)
        mistakes = mistakes_in_values(upstream)
        yield from below(place, mistakes)
        yield from below(place, _in_engine(upstream))
        yield from below((*place, "discover"), _in_discovery(upstream))
    guard = config.guard
    if guard is not None and not _is_policy(guard, folder):
        yield Mistake(("guard",), f"no policy at {guard}", POLICY_HINT)
    prompts = config.prompts
    if prompts is not None and not prompts_at(prompts, folder).is_dir():
        hint = "a folder with .md or .txt files, beside this one: prompts: prompts"
        yield Mistake(("prompts",), f"no folder of prompts at {prompts}", hint)
    for name, model in config.models.items():
        yield from _in_prices(name, model, config)


def prompts_at(named: str, folder: Path) -> Path:
    """`folder` is the file's."""
    return folder / at_home(named)


def _in_engine(upstream: UpstreamConfig) -> Mistakes:
    if upstream.engine is None:
        return
    from llmops_cli.models.find import may_be_found

    hint = "a folder, a .gguf file, owner/name of the Hugging Face hub, or demo"
    if upstream.model is not None and not may_be_found(upstream.model):
        yield Mistake(("model",), f"no model at {upstream.model}", hint)
    options = options_of(upstream)
    if options is None:
        return
    for lora in options.lora:
        if not is_there(at_home(lora.path)):
            adapter_hint = "a PEFT folder or a GGUF adapter file"
            yield Mistake(("options", "lora"), f"no adapter at {lora.path}", adapter_hint)
    guess = options.speculative
    if guess is not None and guess.path and not may_be_found(guess.path):
        yield Mistake(("options", "speculative"), f"no model at {guess.path}", hint)


def _in_discovery(upstream: UpstreamConfig) -> Mistakes:
    discover = upstream.discover
    if discover is None or discover.file is None:
        return
    members = Path(discover.file)
    if not (is_there(members) and members.is_file()):
        hint = '[{"targets": ["10.0.0.1:8000"]}]'
        yield Mistake(("file",), f"no file of members at {discover.file}", hint)


def _is_policy(guard: str, folder: Path) -> bool:
    if guard == DEFAULT_POLICY:
        return True
    file = folder / at_home(guard)
    return is_there(file) and file.is_file()


def _in_prices(
    name: str,
    model: ModelConfig,
    config: GatewayConfig,
) -> Mistakes:
    """Who has `price: genai` answers only for models that the public table knows."""
    for member in chain.from_iterable(pools_of(model).values()):
        upstream = upstream_of(member)
        price = config.upstreams[upstream].price
        if price != "genai":
            continue
        theirs = _name_there(name, member)
        if not _has_public_price(theirs):
            place = ("upstreams", upstream, "price")
            yield Mistake(
                place,
                f"genai-prices does not know {theirs}",
                "price: {input: 0.5, output: 1.5}",
            )


def _name_there(name: str, member: str | PoolMember) -> str:
    """What the upstream calls the model."""
    if isinstance(member, PoolMember) and member.model:
        return member.model
    return name


def _has_public_price(model: str) -> bool:
    try:
        public_price(model)
    except LookupError:
        return False
    except ImportError:
        raise EnvironmentMissing(
            "price: genai needs its table",
            hint="pip install genai-prices",
        ) from None
    return True
