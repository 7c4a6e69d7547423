"""The last check of an artifact: an engine that takes its format loads it and speaks."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, LlmopsError, UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.engines import engines_for, load_engine
from llmops_cli.evaluate.evaluator import CONTEXT, Evaluator
from llmops_cli.quantize.report import Served
from llmops_cli.runtime.http import Http
from llmops_cli.serving.start import started
from llmops_cli.serving.target import EngineTarget, PreparedTarget, prepare_target

PROMPT = "The quick brown fox"
TOKENS = 48


def serve_once(
    artifact: Artifact,
    *,
    folder: Path,
    pieces: Sequence[tuple[list[int], int]] = (),
    evaluators: Sequence[Evaluator] = (),
    progress: Progress,
) -> Served | None:
    """What the first engine says whose environment is there; None if none is.

    One that scores prompts tells its perplexity over `pieces` (tokens, first position). An
    evaluator that fails costs its own figures only.

    Raises: EngineFailed if it does not start, or says nothing.
    """
    for name in engines_for(artifact.format):
        facts = load_engine(name).facts
        if artifact.format != "hf" and not facts.checks_artifacts:
            continue
        context = _context_of(artifact)
        wanted = {"max_model_len": str(context), "kv_space_gib": "1"}
        target = EngineTarget(
            backend=name,
            artifact=artifact,
            options={key: value for key, value in wanted.items() if key in facts.options},
            make_environment=False,
        )
        try:
            prepared = prepare_target(target, progress=progress)
        except EnvironmentMissing:
            continue
        return _served(prepared, folder, context, pieces, evaluators, progress)
    return None


def _served(
    prepared: PreparedTarget,
    folder: Path,
    context: int,
    pieces: Sequence[tuple[list[int], int]],
    evaluators: Sequence[Evaluator],
    progress: Progress,
) -> Served:
    """Its log stays in `folder`, hidden, for the error that may name it."""
    log_name = f".served-{prepared.target.backend}.log"
    with started(
        prepared, folder=folder, parallel=1, progress=progress, log_name=log_name
    ) as server:
        said, speed = _speak(server.url, server.model, dict(server.facts.bench_body))
        perplexity = None
        if server.facts.scores_prompts:
            perplexity = _perplexity(server.url, server.model, pieces, context)
        accuracy = {}
        for evaluator in evaluators:
            try:
                accuracy[evaluator.name] = evaluator.measure(server.url, server.model)
            except LlmopsError as error:
                progress.warn(f"{evaluator.name} over {server.engine}: {error.message}")
        memory = server.memory()
    return Served(
        engine=_engine_and_version(prepared),
        says=said,
        output_tokens_per_s=speed,
        peak_rss_bytes=memory.engine_peak_rss_bytes,
        perplexity=perplexity,
        accuracy=accuracy,
    )


def _engine_and_version(prepared: PreparedTarget) -> str:
    versions = prepared.versions()
    known = [versions[name] for name in prepared.facts.packages if name in versions]
    return " ".join([prepared.target.backend, *known[:1]])


def _context_of(artifact: Artifact) -> int:
    """At most CONTEXT tokens, fewer if the model has fewer."""
    config = Path(artifact.path or "") / "config.json"
    if not config.is_file():
        return CONTEXT
    found = msgspec.json.decode(config.read_bytes()).get("max_position_embeddings")
    return min(CONTEXT, found) if isinstance(found, int) else CONTEXT


def _perplexity(
    url: str, model: str, pieces: Sequence[tuple[list[int], int]], context: int
) -> float | None:
    """Over the pieces' scored tokens, from the engine's own log-probabilities of the prompt; None
    if it gives none.
    """
    loss = 0.0
    scored = 0
    for tokens, first in pieces:
        kept = tokens[: context - 1]
        fields = {
            "model": model,
            "prompt": kept,
            "max_tokens": 1,
            "temperature": 0,
            "prompt_logprobs": 0,
        }
        answer = Http().post_json(f"{url}/v1/completions", fields, timeout_s=300)
        rows = (
            answer["choices"][0].get("prompt_logprobs")
            if answer and answer.get("choices")
            else None
        )
        if not rows:
            return None
        for token, row in list(zip(kept, rows, strict=True))[first + 1 :]:
            loss -= row[str(token)]["logprob"]
            scored += 1
    return math.exp(loss / scored) if scored else None


def _speak(url: str, model: str, more: dict[str, object]) -> tuple[str, float]:
    """Greedy text and tokens per second of one stream, the second time it is asked."""
    fields = {"model": model, "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, **more}
    text = ""
    seconds = math.inf
    for _ in range(2):
        start = time.monotonic()
        answer = Http().post_json(f"{url}/v1/completions", fields, timeout_s=300)
        seconds = time.monotonic() - start
        if not answer or not answer.get("choices"):
            raise EngineFailed("it loads, but does not answer")
        text = str(answer["choices"][0].get("text", ""))
    if not text.strip():
        raise UsageError("it loads, but says nothing")
    return text, TOKENS / seconds
