"""What passes line by line and would fail, or mean nothing, when it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.oddities import oddities_in
from llmops_cli.gateway_file.read import load_config, read_file

STATIC = "engine: transformers, options: {batching: static, speculative: 'ngram:3'}"
"""One of them is right only beside the other."""
HEAD = """\
upstreams:
  one: {url: http://127.0.0.1:9/v1}
  two: {url: http://127.0.0.1:9/v2}
"""
A = HEAD + "models:\n  b: {pool: [two]}\n  a:\n    pool: [one]\n"
COLOURS = HEAD + "models:\n  a:\n    live: blue\n    colours:\n      blue: [one]\n"
CLAUDE = """\
upstreams:
  claude: {url: http://127.0.0.1:9, dialect: anthropic}
models:
  a: {pool: [claude]}
"""


def two_engines(one: str, two: str) -> str:
    models = {"one": one, "two": two}
    lines = [f"  {name}: {{engine: llamacpp, model: {model}}}" for name, model in models.items()]
    return "\n".join(["upstreams:", *lines, ""])


TWO_FOLDERS = two_engines("./small", "../small")
SEMANTIC = "{semantic: {model: MODEL}}"


def semantic(model: str) -> str:
    return SEMANTIC.replace("MODEL", model)


def one_with(field: str) -> str:
    return HEAD.replace("v1}", f"v1, {field}}}")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (A + "    hybrid: {small: a}\n", 8, "not its own small model"),
        (
            A.replace("{pool: [two]}", "{pool: [two], hybrid: {small: a}}")
            + "    hybrid: {small: b}\n",
            5,
            "in turn",
        ),
        (
            A.replace("[two]", "[{upstream: one, model: a}]") + "    hybrid: {small: b}\n",
            8,
            "answered by what answers for a",
        ),
        (A + "    fallback: [b, b]\n", 8, "b stands there twice"),
        (A + "    adapters: [b]\n", 8, "b is a model of this file"),
        (
            A.replace("{pool: [two]}", "{pool: [two], adapters: [x]}") + "    adapters: [x]\n",
            8,
            "adapter of b already",
        ),
        (A + "    adapters: ['']\n", 8, "an adapter's name"),
        (A.replace("[one]", "[one, one]"), 7, "one stands there twice"),
        (A.replace("[one]", "[one, {upstream: one, model: a}]"), 7, "one stands there twice"),
        (A + "    rules: [{private: true, use: []}]\n", 8, "no upstream stands there"),
        (A + "    shadow: {use: []}\n", 8, "no upstream stands there"),
        (COLOURS + "      green: []\n", 9, "no upstream stands there"),
        (COLOURS.replace("[one]", "[]"), 8, "no upstream stands there"),
        (
            A + "    rules: [{longer_than: 9, shorter_than: 10, use: [two]}]\n",
            8,
            "no prompt is longer than 9",
        ),
        (
            A.replace("v2}", "v2, can: [tools]}") + "    rules: [{needs: vision, use: [two]}]\n",
            8,
            "can do vision",
        ),
        (A + "    canary: {use: [{upstream: one, weight: 2}]}\n", 8, "what the pool uses"),
        (A + "    canary: {use: [{upstream: one, model: a}]}\n", 8, "what the pool uses"),
        (COLOURS + "    canary: {use: [one]}\n", 9, "what the pool uses"),
        (A + "    canary: {use: [two], steps: []}\n", 8, "grow"),
        (A + "    canary: {use: [two], steps: [5, 5]}\n", 8, "grow"),
        (A + f"    cache: {semantic('c')}\n", 8, "unknown model 'c'"),
        (A + f"    cache: {semantic('a')}\n", 8, "vectors of its own cache"),
        (
            A.replace("{pool: [two]}", f"{{pool: [two], cache: {semantic('x')}}}")
            + f"  x: {{pool: [one], cache: {semantic('b')}}}\n",
            5,
            "x has a semantic cache itself",
        ),
        (A + f"cache: {semantic('c')}\n", 8, "unknown model 'c'"),
        (A + "limits: {models: {c: {streams: 1}}}\n", 8, "unknown model 'c'"),
        (A + "limits: {trusted_proxies: [foo]}\n", 8, "foo"),
        (A + "traces: foo\n", 8, "foo is no URL"),
        (A + "redis: {url: 'redis://me:hunter22@h:99999'}\n", 8, "no address of Redis"),
        (A + "redis: {url: 'redis://h/zero'}\n", 8, "no address of Redis"),
        (A + "redis: {url: 'redis://'}\n", 8, "no address of Redis"),
        (A + "redis: {url: 'redis://h', prefix: ''}\n", 8, "prefix"),
        (A + "guard: ''\n", 8, "no policy"),
        (A + "    hedge_after_s: .nan\n", 8, "must be a number above 0"),
        (A.replace("[one]", "[{upstream: one, weight: .inf}]"), 7, "inf is no number"),
        (one_with("price: {input: 1}"), 2, "input without output"),
        (one_with("price: {output: 1}"), 2, "output without input"),
        (one_with("price: {gpu_hour: 1}"), 2, "gpu_hour without tokens_per_s"),
        (one_with("price: {tokens_per_s: 1}"), 2, "tokens_per_s without gpu_hour"),
        (one_with("price: {}"), 2, "no price in it"),
        (one_with("price: {audio_input: 1}"), 2, "audio_input is beside a price"),
        (
            one_with("price: {gpu_hour: 1, tokens_per_s: 1, audio_output: 1}"),
            2,
            "is beside a price",
        ),
        (one_with("price: {input: 1, output: 1, gpu_hour: 1, tokens_per_s: 1}"), 2, "not both"),
        (one_with("price: {input: .inf, output: 1}"), 2, "inf is no number"),
        (one_with("model: m"), 2, "model is for an engine"),
        (
            HEAD.replace("url: http://127.0.0.1:9/v1", "engine: llamacpp, model: ./nope"),
            2,
            "no model at ./nope",
        ),
        (TWO_FOLDERS, 3, "../small and ./small would both be served as small"),
        (two_engines("small", "./small"), 3, "./small and small would both be served as small"),
        (two_engines("~", "./demo"), 3, "./demo and demo would both be served as demo"),
        (one_with("replicas: 2"), 2, "replicas is for an engine"),
        (one_with("options: {a: 1}"), 2, "options is for an engine"),
        (CLAUDE + "  b: {pool: [claude], hybrid: {small: a}}\n", 5, "tells no logprobs"),
        (CLAUDE + f"  b: {{pool: [claude], cache: {semantic('a')}}}\n", 5, "makes no vectors"),
        (CLAUDE + f"cache: {semantic('a')}\n", 5, "makes no vectors"),
        (CLAUDE + "endpoints: [rerank, audio]\n", 5, "has no rerank"),
        (one_with("prompt_cache: true"), 2, "in Anthropic's dialect"),
        (CLAUDE.replace("t: anthropic", "t: claude"), 2, "unknown value 'claude'"),
        (
            CLAUDE.replace("url: http://127.0.0.1:9", "engine: llamacpp, model: demo"),
            2,
            "an engine of ours speaks OpenAI's dialect",
        ),
        (one_with("key_env: ''"), 2, "names a variable"),
        (one_with("key_env: sk-secret"), 2, "names a variable"),
        (HEAD.replace("one", '""', 1), 2, "an upstream's name"),
        (
            A.replace("v2}", "v2, price: genai}") + "    rules: [{private: true, use: [two]}]\n",
            3,
            "genai-prices does not know",
        ),
    ],
)
def test_it_is_told_with_its_line(text: str, line: int, said: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_config(file)
    assert said in raised.value.message
    assert "hunter22" not in raised.value.message
    assert "sk-secret" not in raised.value.message
    assert f"gateway.yaml:{line}:" in raised.value.message


@pytest.mark.parametrize(
    "text",
    [
        A + "    fallback: [b]\n  c: {pool: [one], fallback: [a, b]}\n",
        two_engines("demo", "~"),
        A.replace("{pool: [two]}", "{pool: [two], fallback: [a]}") + "    fallback: [b]\n",
        A + f"cache: {semantic('b')}\n",
        A + "    canary: {use: [one, two]}\n",
        A.replace("[one]", "[{upstream: one, model: x}, {upstream: one, model: y}]"),
        A + "redis: {url: 'unix:///run/redis.sock'}\n",
        A + "redis: {url: 'rediss://:secret@h:6380/3'}\n",
        one_with("price: {input: 0, output: 0}"),
        A + "audit: {on: false}\n",
        HEAD.replace("url: http://127.0.0.1:9/v1", STATIC),
        A + "  yes: {pool: [one], fallback: [a]}\n  1.10: {pool: [one]}\n",
    ],
)
def test_what_works_passes(text: str, tmp_path: Path) -> None:
    """Models that stand in for one another are asked one step deep."""
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    load_config(file)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (A + "    rules: [{use: [two]}]\n", 8, "asks for nothing"),
        (A + "    hedge_after_s: 1\n", 8, "no second upstream"),
        (A + "    balance: cost\n", 8, "has a price"),
        (
            A + "    fallback: [b]\n    rules: [{private: true, use: [one]}]\n",
            8,
            "never stands in for private prompts",
        ),
        (HEAD + "models: {a: {pool: [one]}}\n", 3, "no model uses it"),
        (A + "audit: {on: false, bodies: true}\n", 8, "no audit log"),
        (A + "retries: {budget: 0}\n", 8, "none later"),
        (A + "    shadow: {use: [two], share: 0}\n", 8, "nothing is copied"),
        (
            (
                HEAD.replace("v1}", "v1, key_env: K}").replace(
                    "127.0.0.1:9/v2}", "localhost/v2, key_env: K}"
                )
            ),
            3,
            "K is sent to 127.0.0.1 and to localhost",
        ),
    ],
)
def test_what_nobody_can_have_meant_is_told(
    text: str, line: int, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    found = read_file(file)
    (mistake,) = oddities_in(found.config)
    assert said in mistake.message
    assert found.document.line(mistake.place) == line
