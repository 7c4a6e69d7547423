"""One suite over every registered engine: the process description, without starting anything."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.spec import Env, ServerSpec
from llmops_cli.engines import ENGINES, load_engine, parse_options
from llmops_cli.engines.options import COMMON

GOLDEN = Path(__file__).parent.parent / "golden" / "engines.json"
OPTIONS = {
    "llamacpp": {
        "cpu_offload_gib": "2.5",
        "max_model_len": "2048",
        "queue": "8",
        "prefix_caching": "false",
        "speculative": "draft:/models/small.gguf:4",
        "lora": "a=/loras/a.gguf",
        "kv_cache_dtype": "q8_0",
    },
    "vllm": {
        "cpu_offload_gib": "2.5",
        "max_model_len": "2048",
        "tensor_parallel": "2",
        "prefix_caching": "true",
        "speculative": "ngram:4",
        "lora": "a=/loras/a,b=/loras/b",
        "threads": "3",
        "kv_cache_dtype": "fp8",
    },
    "transformers": {
        "max_model_len": "2048",
        "batching": "static",
        "dtype": "bfloat16",
        "attention": "sdpa",
        "lora": "a=/loras/a",
    },
    "ctranslate2": {"dtype": "int16", "threads": "2"},
    "sim": {"ttft_ms": "20"},
    "remote": {"url": "http://127.0.0.1:9/v1/"},
}
NAMES = [*sorted(ENGINES), "echo"]
"""Ours, and one from a package of its own (tests/plugin)."""
MODES: list[tuple[str, dict[str, str]]] = [
    *((name, {}) for name in NAMES if name != "remote"),
    ("remote", OPTIONS["remote"]),
    ("llamacpp", {"binary": "/opt/llama-server"}),
    ("transformers", {"batching": "static"}),
]
"""What an engine may run with, for who looks at its other options beside that."""
VALUES = {
    "dtype": "bfloat16",
    "max_model_len": "2048",
    "max_num_seqs": "7",
    "gpu_memory_utilization": "0.5",
    "cpu_offload_gib": "2.5",
    "tensor_parallel": "2",
    "pipeline_parallel": "2",
    "data_parallel": "2",
    "kv_cache_dtype": "q8_0",
    "prefix_caching": "false",
    "attention": "eager",
    "speculative": "ngram:4",
    "lora": "a=/loras/a",
    "threads": "3",
    "batching": "static",
    "compile": "true",
}
"""Other than what happens without them."""
ARTIFACT = Artifact(reference="demo", format="gguf", path="/models/demo-F16.gguf")
ENV = Env(name="llamacpp", python="/env/bin/python", origin="venv")


def server_of(name: str, wishes: dict[str, str]) -> ServerSpec:
    engine = load_engine(name)
    options = parse_options(name, engine, wishes)
    return engine.server(ARTIFACT, options=options, env=ENV, port=8123, parallel=4)


def describe(name: str) -> dict[str, object]:
    spec = server_of(name, OPTIONS.get(name, {}))
    return dict(msgspec.json.decode(msgspec.json.encode(spec)))


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_server_spec_is_the_golden_one(name: str) -> None:
    """After a deliberate change: python -m tests.contract.test_engines"""
    assert describe(name) == json.loads(GOLDEN.read_text())[name]


@pytest.mark.parametrize("name", ["llamacpp", "vllm", "transformers", "ctranslate2"])
@pytest.mark.parametrize(
    ("reference", "served"),
    [
        ("./small", "small"),
        ("/models/small/", "small"),
        ("~/small", "small"),
        ("../small.gguf", "small.gguf"),
        (".", "where-it-lies"),
        ("owner/name", "owner/name"),
        ("demo", "demo"),
    ],
)
def test_a_model_at_a_path_is_served_by_its_own_name(
    name: str, reference: str, served: str
) -> None:
    artifact = Artifact(reference=reference, format="hf", path="/models/where-it-lies")
    engine = load_engine(name)
    options = parse_options(name, engine, {})
    spec = engine.server(artifact, options=options, env=ENV, port=8123, parallel=4)
    assert spec.model == served
    assert served in spec.argv


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("llamacpp", "queue"),
        ("llamacpp", "prefill_chunk"),
        ("llamacpp", "gpu_layers"),
        ("vllm", "max_num_batched_tokens"),
        ("vllm", "kv_space_gib"),
        ("sim", "tokens"),
    ],
)
def test_a_part_of_what_is_counted_is_refused(name: str, option: str) -> None:
    engine = load_engine(name)
    assert parse_options(name, engine, {option: "1"}).own[option] == "1"
    for part in ("0.5", ".1", "1.0"):
        with pytest.raises(UsageError, match=f"{option}={part}: not a whole number from 0 on"):
            parse_options(name, engine, {option: part})
    assert parse_options("sim", load_engine("sim"), {"ttft_ms": ".5"}).own["ttft_ms"] == ".5"


@pytest.mark.parametrize("name", NAMES)
def test_options_are_common_or_its_own_and_each_is_taken_or_refused(name: str) -> None:
    engine = load_engine(name)
    assert len(set(engine.facts.options)) == len(engine.facts.options)
    for option in COMMON:
        if option not in engine.facts.options:
            with pytest.raises(UsageError, match="has no --"):
                parse_options(name, engine, {option: "1"})
    with pytest.raises(UsageError):
        parse_options(name, engine, {"no_such_option": "1"})


@pytest.mark.parametrize(("name", "beside"), MODES)
def test_an_option_is_refused_or_changes_what_is_run(name: str, beside: dict[str, str]) -> None:
    """One that is taken and does nothing would stand in a report as if it had held."""
    plain = server_of(name, beside)
    for option in load_engine(name).facts.options:
        if option in beside:
            continue
        value = VALUES.get(option) or OPTIONS.get(name, {}).get(option, "12")
        try:
            changed = server_of(name, {**beside, option: value})
        except UsageError:
            continue
        assert changed != plain, option


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vllm", {"compile": "maybe"}),
        ("vllm", {"kv_space_gib": "all"}),
        ("vllm", {"max_num_batched_tokens": "many"}),
        ("vllm", {"max_lora_rank": "8"}),
        ("llamacpp", {"binary": "/opt/llama-server", "queue": "8"}),
        ("llamacpp", {"queue": "long"}),
        ("transformers", {"batching": "none"}),
    ],
)
def test_a_value_that_an_engine_cannot_have_is_refused_before_it_starts(
    name: str, options: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match=list(options)[-1]):
        parse_options(name, load_engine(name), options)


@pytest.mark.parametrize("word", ["true", "yes", "1", "on"])
def test_vllm_compiles_by_any_word_for_yes(word: str) -> None:
    assert "--enforce-eager" in server_of("vllm", {"compile": "no"}).argv
    assert "--enforce-eager" not in server_of("vllm", {"compile": word}).argv


@pytest.mark.parametrize("name", NAMES)
def test_own_servers_bind_to_loopback_and_hold_no_path_of_this_machine(name: str) -> None:
    spec = server_of(name, OPTIONS.get(name, {}))
    assert spec.url.startswith("http://127.0.0.1:")
    assert str(Path(__file__).parent.parent.parent) not in " ".join(spec.argv)


def test_a_llama_server_of_ones_own_gets_the_same_options() -> None:
    options = {
        "binary": "/opt/llama-server",
        "max_model_len": "512",
        "max_num_seqs": "8",
        "threads": "2",
    }
    engine = load_engine("llamacpp")
    parsed = parse_options("llamacpp", engine, options)
    argv = engine.server(ARTIFACT, options=parsed, env=None, port=8123, parallel=4).argv
    assert argv[0] == "/opt/llama-server"
    assert argv[argv.index("--ctx-size") + 1] == str(8 * 512)
    assert argv[argv.index("--host") + 1] == "127.0.0.1"
    assert "--threads" in argv


if __name__ == "__main__":
    GOLDEN.write_text(
        json.dumps({name: describe(name) for name in sorted(ENGINES)}, indent=2) + "\n"
    )
