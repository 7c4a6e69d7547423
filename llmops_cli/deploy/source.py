"""gateway.yaml as it is written, once it is known to be one that a gateway can run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.prompt_files import prompt_files
from llmops_cli.engines import load_engine, parse_options
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.document import read_document
from llmops_cli.gateway_file.interpolation import as_written
from llmops_cli.gateway_file.machine import DEFAULT_POLICY, POLICY_HINT, prompts_at
from llmops_cli.gateway_file.mistake import Mistake
from llmops_cli.gateway_file.oddities import oddities_in
from llmops_cli.gateway_file.read import GatewayFile, read_file
from llmops_cli.guard.policy import Detector, load_policy
from llmops_cli.runtime.paths import at_home


class Source(NamedTuple):
    """`written`: the file's values with their `${VAR}`, which stand in no other.

    `policy`: the guard's file, if it has one, `detectors` those of it that need more than the file.
    `prompts`: path below their folder -> text. `warnings`: what can run, and nobody can have meant.
    """

    path: Path
    config: GatewayConfig
    written: Manifest
    policy: bytes | None
    detectors: tuple[Detector, ...]
    prompts: dict[str, str]
    warnings: tuple[str, ...]

    def texts(self) -> Iterator[tuple[Path, str]]:
        """Files beside this one that are brought along as they are."""
        beside = self.path.parent
        if self.policy is not None and self.config.guard is not None:
            yield beside / at_home(self.config.guard), self.policy.decode("utf-8", "replace")
        if self.config.prompts is not None:
            folder = prompts_at(self.config.prompts, beside)
            for name, text in self.prompts.items():
                yield folder / name, text


def read_source(path: Path) -> Source:
    """Refuses what `llmops serve --check` refuses, but for values that only the cluster has.

    Those are keys and variables of upstreams, models and prices' tables of this machine.
    Raises: UsageError with the line.
    """
    file = read_file(path)
    for name, upstream in file.config.upstreams.items():
        if upstream.engine is not None:
            _check_engine(file, name)
    written = as_written(read_document(path))
    policy = _policy(file, path)
    oddities = [file.document.error(each).message for each in oddities_in(file.config)]
    return Source(
        path=path,
        config=file.config,
        written=written,
        policy=policy.read_bytes() if policy is not None else None,
        detectors=tuple(_detectors(policy)) if policy is not None else (),
        prompts=_prompts(file, path),
        warnings=tuple(oddities),
    )


def _check_engine(file: GatewayFile, name: str) -> None:
    """Raises: UsageError with the line of the upstream."""
    upstream = file.config.upstreams[name]
    try:
        engine = load_engine(upstream.engine or "")
        parse_options(upstream.engine or "", engine, upstream.engine_options())
    except UsageError as error:
        mistake = Mistake(("upstreams", name), error.message, error.hint)
        raise file.document.error(mistake) from None


def _prompts(file: GatewayFile, path: Path) -> dict[str, str]:
    """Raises: UsageError with the line, of this file or of a prompt's."""
    named = file.config.prompts
    if named is not None and not prompts_at(named, path.parent).is_dir():
        hint = "a folder with .md or .txt files, beside this one: prompts: prompts"
        raise file.document.error(Mistake(("prompts",), f"no folder of prompts at {named}", hint))
    return prompt_files(file.config, path.parent)


def _policy(file: GatewayFile, path: Path) -> Path | None:
    """Raises: UsageError with the line."""
    guard = file.config.guard
    if guard is None or guard == DEFAULT_POLICY:
        return None
    policy = path.parent / at_home(guard)
    if not policy.is_file():
        raise file.document.error(Mistake(("guard",), f"no policy at {guard}", POLICY_HINT))
    return policy


def _detectors(policy: Path) -> Iterator[Detector]:
    """Those that ask a server or read a model. Raises: UsageError for a policy that is none."""
    found = load_policy(policy)
    sides = [found.input, found.output, *found.roles.values()]
    for both in found.routes.values():
        sides += both
    for side in sides:
        for detector in side.detectors.values():
            if detector.url or detector.name:
                yield detector
