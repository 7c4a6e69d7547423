"""What an engine is to the toolkit. Adding one is a module with these and a table line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.spec import Cause, Env, ServerSpec
from llmops_cli.engines.options import EngineOptions

LOADS = r'(?m)^(?:\{.*"message": ")?loading '
"""How a server of ours says that it reads its model, as words or as JSON."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """How a server shows whose it is.

    `owned_by` in its list of models, or a field of its /info (any value where none is given).
    `version_path`: where it tells its version, if it does.
    """

    name: str
    owned_by: tuple[str, ...] = ()
    info: Mapping[str, str | None] = {}
    version_path: str | None = None


class CpuNeed(msgspec.Struct, frozen=True, kw_only=True):
    """A feature of x86 CPUs without which the engine has no kernel for weights of a scheme."""

    scheme: str
    flag: str
    instead: str


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that others must know of an engine.

    `formats` it serves, best first (empty: it needs no model); `environment` it runs in (None: any
    Python); `options` it takes, common ones and its own, of which `numbers` are plain numbers
    and `counts` whole ones; `packages` whose versions change its numbers; `bench_body`: fields
    that its server wants in each request of a load test; `metrics`: our gauges -> their names in
    its /metrics; `causes`: what its log says when it fails; `scores_prompts`: it tells
    log-probabilities of a prompt's tokens; `loads_at`: in the line of its log with which it begins
    to read its model, if it writes one; `checks_artifacts`: serving an artifact here says more than
    its quality measurement did; `makes_vectors`: it serves models that make vectors and no text;
    `cpu_needs`: where no GPU is.
    """

    formats: tuple[str, ...] = ()
    environment: str | None = None
    options: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()
    bench_body: Mapping[str, object] = {}
    metrics: Mapping[str, tuple[str, ...]] = {}
    causes: tuple[Cause, ...] = ()
    loads_at: str | None = None
    scores_prompts: bool = False
    checks_artifacts: bool = True
    makes_vectors: bool = False
    cpu_needs: tuple[CpuNeed, ...] = ()


class Engine(Protocol):
    """Pure: it turns an artifact and options into a process description, and starts nothing."""

    facts: EngineFacts

    def check(self, options: EngineOptions) -> None:
        """Raises: UsageError for values that this engine cannot have."""

    def server(
        self,
        artifact: Artifact,
        *,
        options: EngineOptions,
        env: Env | None,
        port: int,
        parallel: int,
    ) -> ServerSpec:
        """What to run. `parallel`: requests at once where the options do not say."""
