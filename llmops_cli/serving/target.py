"""What should answer, and all of it that can be settled before anything is started."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import MODEL_DIGEST, Env, ServerSpec
from llmops_cli.engines import Engine, EngineFacts, load_engine, parse_options
from llmops_cli.engines.options import EngineOptions
from llmops_cli.models.find import require_reference
from llmops_cli.models.prepare import for_engine, with_parts
from llmops_cli.runtime.digests import digest_path
from llmops_cli.runtime.env import ensure_env, find_env
from llmops_cli.runtime.hardware import builds_in, versions_in
from llmops_cli.serving.cpu_needs import require_cpu

REMOTE = "remote"


class EngineTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A model in an engine of ours, or the server behind a URL.

    `model` None: the demo, or the server's first. `artifact`: a model found already.
    `make_environment`: whether a missing environment is made; otherwise it is an error.
    """

    backend: str = "llamacpp"
    model: str | None = None
    url: str | None = None
    options: Mapping[str, str] = {}
    artifact: Artifact | None = None
    make_environment: bool = True


class PreparedTarget:
    """An engine that could be started now: its options read, its environment and model there."""

    def __init__(
        self,
        target: EngineTarget,
        *,
        engine: Engine,
        options: EngineOptions,
        env: Env | None,
        artifact: Artifact,
    ) -> None:
        self.target = target
        self.engine = engine
        self.options = options
        self.env = env
        self.artifact = artifact

    @property
    def facts(self) -> EngineFacts:
        return self.engine.facts

    @property
    def is_remote(self) -> bool:
        return self.target.backend == REMOTE

    def spec(self, *, port: int, parallel: int) -> ServerSpec:
        """What to run, with adapters and draft models where they are, and its model's digest."""
        options = self.options.located(self.artifact.parts)
        spec = self.engine.server(
            self.artifact,
            options=options,
            env=self.env,
            port=port,
            parallel=parallel,
        )
        if not self.artifact.digest:
            return spec
        told = {**spec.env, MODEL_DIGEST: self.artifact.digest}
        return msgspec.structs.replace(spec, env=told)

    def versions(self) -> dict[str, str]:
        """Of the engine's packages, in its Python."""
        return versions_in(self._python, self.facts.packages)

    def builds(self) -> dict[str, str]:
        """A digest of what is installed of each of them."""
        return builds_in(self._python, self.facts.packages)

    @property
    def _python(self) -> str:
        return sys.executable if self.env is None else self.env.python

    def digests(self) -> dict[str, str]:
        """Of the model, its adapters and its draft model."""
        found = {}
        if self.artifact.digest:
            found["model"] = self.artifact.digest
        for reference, place in self.artifact.parts.items():
            found[reference] = digest_path(Path(place))
        return found


def check_target(target: EngineTarget) -> tuple[Engine, EngineOptions]:
    """The engine and its options. Raises: UsageError, before anything is looked for or made."""
    if target.url and target.backend != REMOTE:
        raise UsageError(
            f"--url is a server that runs; backend '{target.backend}' would start another",
            hint="give one of them",
        )
    engine = load_engine(target.backend)
    wishes = dict(target.options)
    if target.url and "url" in wishes:  # what is passed over would stand in the report unread
        raise UsageError("--url and --set url= are two servers", hint="give one of them")
    if target.url:
        wishes["url"] = target.url
    return engine, parse_options(target.backend, engine, wishes)


def prepare_target(target: EngineTarget, *, progress: Progress) -> PreparedTarget:
    """Finds or makes the environment, then the model in the engine's format.

    Raises: UsageError, EnvironmentMissing, EngineFailed.
    """
    engine, options = check_target(target)
    if target.artifact is None and engine.facts.formats:
        require_reference(target.model or "demo")
    env = _environment(target, engine.facts, progress)
    if target.artifact is not None:
        artifact = target.artifact
    else:
        artifact = for_engine(engine, target.model or "demo", progress=progress)
    require_cpu(target.backend, engine.facts, artifact)
    artifact = with_parts(engine, artifact, options, progress=progress)
    return PreparedTarget(target, engine=engine, options=options, env=env, artifact=artifact)


def _environment(
    target: EngineTarget,
    facts: EngineFacts,
    progress: Progress,
) -> Env | None:
    """First of all, before a model is trained or converted for it."""
    if facts.environment is None:
        return None
    if "binary" in target.options:  # a server of the user's own needs none
        return None
    if target.make_environment:
        return ensure_env(facts.environment, progress=progress)
    return find_env(facts.environment)
