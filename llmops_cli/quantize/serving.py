"""The last check of an artifact: an engine that takes its format loads it, speaks, and is timed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, LlmopsError, UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.engines import engines_for, load_engine
from llmops_cli.evaluate.evaluator import CONTEXT, Evaluator, Scores
from llmops_cli.evaluate.perplexity import served_perplexity
from llmops_cli.models.config import context_of
from llmops_cli.quantize.report import Served
from llmops_cli.quantize.speed import measure_speed
from llmops_cli.quantize.task import ScoredTokens
from llmops_cli.runtime.http import Http
from llmops_cli.serving.measured import measurement_key
from llmops_cli.serving.start import RunningServer, started
from llmops_cli.serving.target import EngineTarget, PreparedTarget, prepare_target

PROMPT = "The quick brown fox"
TOKENS = 48
TIMEOUT_S = 300.0
KV_SPACE_GIB = "1"


class ServingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How an artifact would be served here: by which engine, with room for `context` tokens."""

    prepared: PreparedTarget
    context: int

    @property
    def label(self) -> str:
        """The engine with its version."""
        name = self.prepared.target.backend
        versions = self.prepared.versions()
        for package in self.prepared.facts.packages:
            if package in versions:
                return f"{name} {versions[package]}"
        return name

    @property
    def log_name(self) -> str:
        """Of the file, hidden in the artifacts' folder, that has the engine's own words."""
        return f".served-{self.prepared.target.backend}.log"

    def key(self) -> str:
        """Over all that answers, and what it is asked."""
        asked = [PROMPT, TOKENS, dict(self.prepared.facts.bench_body)]
        return measurement_key(self.prepared, asked) or ""


class TimedText(msgspec.Struct, frozen=True, kw_only=True):
    """One completion, and how fast it came."""

    text: str
    tokens_per_s: float


def serving_plan(artifact: Artifact, *, progress: Progress) -> ServingPlan | None:
    """By the first engine that takes the format and whose environment is there; None if none is."""
    context = _context(artifact)
    wanted = {"max_model_len": str(context), "kv_space_gib": KV_SPACE_GIB}
    for name in engines_for(artifact.format):
        facts = load_engine(name).facts
        if artifact.format != "hf" and not facts.checks_artifacts:
            continue
        options = {option: value for option, value in wanted.items() if option in facts.options}
        target = EngineTarget(
            backend=name,
            artifact=artifact,
            options=options,
            make_environment=False,
        )
        try:
            prepared = prepare_target(target, progress=progress)
        except EnvironmentMissing:
            continue
        return ServingPlan(prepared=prepared, context=context)
    return None


def serve_once(
    plan: ServingPlan,
    *,
    folder: Path,
    pieces: Sequence[ScoredTokens] = (),
    evaluators: Sequence[Evaluator] = (),
    progress: Progress,
) -> Served:
    """What the engine says, how fast, in which memory, and what evaluators find.

    One that scores prompts tells its perplexity over `pieces`. An evaluator that fails costs its
    own figures only. The log stays in `folder`, hidden, for the error that may name it.
    Raises: EngineFailed if it does not start or answer, UsageError if it says nothing.
    """
    perplexity = None
    with started(
        plan.prepared,
        folder=folder,
        parallel=1,
        progress=progress,
        log_name=plan.log_name,
    ) as server:
        body = _body(server)
        said = _speak(server.url, body)  # the first answer warms the engine and is not timed
        speed = measure_speed(lambda: _speak(server.url, body).tokens_per_s)
        if server.facts.scores_prompts:
            perplexity = served_perplexity(server.url, server.model, pieces, context=plan.context)
        accuracy = _evaluate(server, evaluators, progress)
        memory = server.memory()
    return Served(
        engine=plan.label,
        says=said.text,
        output_tokens_per_s=speed.tokens_per_s,
        output_tokens_per_s_interval=speed.interval,
        repeats=speed.repeats,
        measured_at=speed.measured_at,
        invalid_reasons=speed.invalid_reasons,
        peak_rss_bytes=memory.engine_peak_rss_bytes,
        perplexity=perplexity,
        accuracy=accuracy,
        key=plan.key(),
    )


def _body(server: RunningServer) -> dict[str, object]:
    return {
        "model": server.model,
        "prompt": PROMPT,
        "max_tokens": TOKENS,
        "temperature": 0,
        **dict(server.facts.bench_body),
    }


def _evaluate(
    server: RunningServer,
    evaluators: Sequence[Evaluator],
    progress: Progress,
) -> dict[str, Scores]:
    found = {}
    for evaluator in evaluators:
        try:
            scores = evaluator.measure(server.url, server.model, progress)
            found[evaluator.name] = scores
        except LlmopsError as error:
            progress.warn(f"{evaluator.name} over {server.engine}: {error.message}")
    return found


def _context(artifact: Artifact) -> int:
    """At most CONTEXT tokens, fewer if the model has fewer."""
    folder = Path(artifact.path or "")
    if not (folder / "config.json").is_file():
        return CONTEXT
    return min(CONTEXT, context_of(folder) or CONTEXT)


def _speak(url: str, body: Mapping[str, object]) -> TimedText:
    """Greedy text of one stream."""
    http = Http()
    start = time.monotonic()
    answer = http.post_json(f"{url}/v1/completions", body, timeout_s=TIMEOUT_S)
    seconds = time.monotonic() - start
    choices = (answer or {}).get("choices")
    if not answer or not choices:
        raise EngineFailed("it loads, but does not answer")
    text = str(choices[0].get("text", ""))
    if not text.strip():
        raise UsageError("it loads, but says nothing")
    usage = answer.get("usage") or {}
    tokens = usage.get("completion_tokens") or TOKENS
    return TimedText(text=text, tokens_per_s=tokens / seconds)
