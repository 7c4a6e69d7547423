"""What is wrong with a gateway's file, and on which line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.read import load_config, read_file
from llmops_cli.runtime.paths import recipes_dir

FINE = "upstreams:\n  one:\n    url: http://127.0.0.1:9/v1\nmodels:\n  a:\n    pool: [one]\n"


def with_options(option: str) -> str:
    engine = "engine: llamacpp\n    model: demo"
    return f"upstreams:\n  one:\n    {engine}\n    options:\n      {option}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        ("upstreams:\n  one: {url: 'http://127.0.0.1:9/v1'\n", 3, "expected ',' or '}'", ""),
        ("models: {}\n", 1, "no upstream", ""),
        ("- a\n", None, "no configuration", ""),
        (FINE.replace("models", "    kee_env: X\nmodels"), 4, "kee_env", "did you mean 'key_env'"),
        ("upstreams:\n  one: {}\n", 2, "needs a url, an engine to start", ""),
        ("upstreams:\n  one:\n    url: ftp://x\n", 3, "no URL", ""),
        ("upstreams:\n  one:\n    url: http://me:secret@host/v1\n", 3, "no password", ""),
        (
            (
                "upstreams:\n  one:\n    url: http://127.0.0.1:9\n    timeouts:\n"
                "      connect_s: soon\n"
            ),
            5,
            "must be a number above 0 and at most 86,400, not 'soon'",
            "",
        ),
        (FINE.replace("[one]", "[one, oen]"), 6, "unknown upstream 'oen'", "did you mean 'one'"),
        (FINE + "    fallback: [b]\n", 7, "unknown model 'b'", ""),
        (FINE + "    balance: tokns\n", 7, "unknown value 'tokns'", "did you mean 'tokens'"),
        (FINE + "  a:\n    pool: [one]\n", 7, "models.a stands there twice", ""),
        (FINE + "redis: {url: foo}\n", 7, "no address of Redis", "redis://"),
        (FINE + "limits: {media_hosts: ['http://x']}\n", 7, "'http://x' is no host", "cdn.example"),
        (FINE + "    fallback: [a]\n", 7, "stand in for itself", ""),
        (FINE + "    canary: {use: [one]}\n", 7, "what the pool uses", ""),
        (FINE + "  b:\n", 7, "nothing stands there", ""),
        (
            FINE + "    rules:\n    - {longer_then: 3, use: [one]}\n",
            8,
            "longer_then",
            "did you mean 'longer_than'",
        ),
        (FINE + "    canary: {use: [{upstream: one, model: x}], steps: [50, 5]}\n", 7, "grow", ""),
        (FINE + "    live: blue\n", 5, "which of them is live", ""),
        (FINE + "limitz: {}\n", 7, "limitz", "did you mean 'limits'"),
        (
            FINE + "limits:\n  key:\n    streams: 0\n",
            9,
            "must be a whole number of at",
            "",
        ),
        (FINE + "guard: policy.yaml\n", 7, "no policy", ""),
        (
            FINE.replace("    url:", "    key_env: SURELY_NOT_SET\n    url:"),
            3,
            "SURELY_NOT_SET is not set",
            "",
        ),
        (
            FINE.replace("url: http://127.0.0.1:9/v1", "engine: lamacpp"),
            3,
            "unknown engine",
            "'llamacpp'",
        ),
        (
            FINE.replace("url: http://127.0.0.1:9/v1", "engine: remote"),
            3,
            "nothing to start",
            "url:",
        ),
        (FINE.replace("    url:", "    price: genai\n    url:"), 3, "does not know a", "price:"),
        (with_options("ctx_size: 4096"), 6, "unknown engine option 'ctx_size'", "max_model_len"),
        (with_options("max_model_len: many"), 6, "no such value", "4096"),
        (with_options("kv_cache_dtype: fp8"), 6, "no KV cache of fp8", "q8_0"),
        (with_options("gpu_layers: -1"), 6, "not a whole number", ""),
        (with_options("threads: 2\n      lora: a=nope"), 7, "no adapter at nope", "PEFT"),
        (with_options("speculative: draft:nope"), 6, "no model at nope", "demo"),
        (
            with_options("lora: a=nope").replace("llamacpp", "transformers"),
            6,
            "continuous batching has no --lora",
            "batching=static",
        ),
        (with_options("gpu_memory_utilization: 0.9"), 6, "has no --gpu-memory-utilization", "vllm"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    text: str, line: int | None, said: str, hint: str, file: Path
) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_config(file)
    assert said in raised.value.message
    assert hint in (raised.value.hint or "")
    if line is not None:
        assert f"gateway.yaml:{line}:" in raised.value.message


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(UsageError, match="no configuration at"):
        load_config(file)


def test_an_option_is_text_as_the_engines_read_it(file: Path) -> None:
    file.write_text(with_options("prefix_caching: false\n      max_num_seqs: 4"))
    upstream = load_config(file).upstreams["one"]
    assert upstream.engine_options() == {"prefix_caching": "false", "max_num_seqs": "4"}


def test_what_only_the_machine_knows_is_left_out_for_another(file: Path) -> None:
    file.write_text(FINE.replace("    url:", "    key_env: SURELY_NOT_SET\n    url:"))
    assert read_file(file).config.upstreams["one"].key_env == "SURELY_NOT_SET"
    with pytest.raises(UsageError, match="SURELY_NOT_SET is not set"):
        load_config(file)


def test_the_lines_that_the_example_leaves_out_are_right_too(file: Path) -> None:
    """recipes/gateway.yaml has upstreams behind `#`: once, one had an option that no engine has."""
    example = (recipes_dir() / "gateway.yaml").read_text()
    lines = example.splitlines()
    left_out = [line.strip(" #") for line in lines if line.startswith("  # ")]
    upstreams = dict[str, object]()
    for line in left_out:
        upstreams |= yaml.safe_load(line)
    assert "here" in upstreams
    file.write_text(yaml.safe_dump({"upstreams": upstreams}))
    assert set(read_file(file).config.upstreams) == set(upstreams)


def test_a_key_that_cannot_stand_in_a_header_is_named_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLIT_KEY", "abc\r\nX-Admin: 1")
    file = tmp_path / "gateway.yaml"
    file.write_text(FINE.replace("    url:", "    key_env: SPLIT_KEY\n    url:"))
    with pytest.raises(UsageError, match="SPLIT_KEY cannot stand") as caught:
        load_config(file)
    assert "X-Admin" not in str(caught.value)


@pytest.mark.parametrize(
    "line", ["guard: {}", "upstreams: {{a: {{discover: {{file: {}}}}}}}"], ids=["guard", "members"]
)
def test_a_name_that_no_system_takes_is_told_at_its_place(file: Path, line: str) -> None:
    file.write_text((FINE if line.startswith("guard") else "") + line.format("x" * 300) + "\n")
    with pytest.raises(
        UsageError, match=r"gateway.yaml:\d+: .*no (policy|file of members) at .*xxx"
    ):
        load_config(file)
