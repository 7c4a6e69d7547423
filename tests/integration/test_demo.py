"""The whole path on the built-in model: train, convert, quantize, serve, bench, evaluate."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import aiohttp
import msgspec
import pytest

from llmops_cli.core.progress import Silent
from llmops_cli.core.resolve import resolve
from llmops_cli.evaluate.demo import evaluate
from llmops_cli.models.convert import as_gguf
from llmops_cli.models.find import find_model
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.run import quantize
from llmops_cli.runtime.paths import WORKERS
from llmops_cli.serving.start import started
from llmops_cli.serving.target import EngineTarget
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.run import train
from tests.conftest import Cli, fresh_cli, unmeasured
from tests.sure import ANSWER, CAPITAL, QUESTION

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
Json = dict[str, Any]


@pytest.fixture(scope="session")
def demo() -> Path:
    recipe = resolve(TrainRecipe, command="train").recipe
    with mock.patch.dict(os.environ, unmeasured(os.environ), clear=True):
        return Path(train(recipe, {}, progress=Silent()).path)


@pytest.fixture(scope="session")
def demo_gguf(demo: Path) -> Path:
    artifact = find_model("demo", progress=Silent())
    path = as_gguf(artifact, progress=Silent()).path
    assert path is not None
    return Path(path)


@pytest.fixture(scope="session")
def url(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    artifact = msgspec.structs.replace(
        find_model(str(demo_gguf), progress=Silent()), reference="demo"
    )
    target = EngineTarget(artifact=artifact, options={"max_model_len": "512", "queue": "40"})
    folder = tmp_path_factory.mktemp("engine")
    with started(target, folder=folder, parallel=16, progress=Silent()) as server:
        yield server.url


def post(url: str, path: str, body: Json) -> Json:
    request = urllib.request.Request(
        url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return dict(json.loads(response.read()))
    except urllib.error.HTTPError as error:
        with error:
            return {
                "status": error.code,
                "headers": dict(error.headers),
                **json.loads(error.read()),
            }


def chat(url: str, text: str, **fields: Any) -> Json:
    return post(
        url,
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": text}], "temperature": 0, **fields},
    )


def content(reply: Json) -> str:
    return str(reply["choices"][0]["message"]["content"])


# -- model and files
# ---------------------------------------------------------------------------------------


def test_the_promised_skills_reach_their_mark_by_real_generation(url: str) -> None:
    skills = evaluate(url, "demo", per_skill=60, progress=Silent())
    for skill in ("fact", "addition", "secret", "refusal"):
        assert skills[skill] >= 0.9, skills


def test_training_again_is_free_and_the_copy_is_the_same_model(
    demo: Path, demo_cli: Cli, tmp_path: Path
) -> None:
    run = demo_cli("train", "-o", "copy", "--json")
    report = json.loads(run.stdout)
    assert report["reused"] is True
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == (
        demo / "model.safetensors"
    ).read_bytes()


QUICKLY = ("train", "--steps", "3", "--json")


class Trained(NamedTuple):
    """A folder in which a few steps were trained, and their report."""

    folder: Path
    report: Json


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    run = fresh_cli(folder)(*QUICKLY)
    return Trained(folder, json.loads(run.stdout))


@pytest.mark.thorough
def test_the_same_seed_gives_the_same_digest(trained: Trained, cli: Cli) -> None:
    again = json.loads(cli(*QUICKLY).stdout)
    assert again["reused"] is False
    assert again["path"] != trained.report["path"]
    assert again["digest"] == trained.report["digest"]


@pytest.mark.thorough
def test_a_model_whose_layer_was_zeroed_is_trained_again_and_told(trained: Trained) -> None:
    here = fresh_cli(trained.folder)
    weights = Path(trained.report["path"]) / "model.safetensors"
    times = weights.stat()
    with weights.open("r+b") as file:
        file.seek(times.st_size // 2)
        file.write(b"\0" * 4096)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = here(*QUICKLY)
    second = json.loads(again.stdout)
    assert "its content has changed; it is trained again" in again.stderr
    assert second["reused"] is False
    assert second["digest"] == trained.report["digest"]
    assert here("report", "list").stdout.count("-train-demo") == 2


def test_f16_perplexity_is_the_hugging_face_models(
    demo: Path, demo_gguf: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    artifact = find_model("demo", progress=Silent())
    report = quantize(
        QuantizeRecipe(scheme=["F16"], eval_tokens=2048),
        {},
        artifact,
        folder=tmp_path,
        progress=Silent(),
    )
    (f16,) = report.artifacts
    tokenizer = AutoTokenizer.from_pretrained(demo)
    model = AutoModelForCausalLM.from_pretrained(demo, dtype=torch.float32)
    loss = 0.0
    count = 0
    total = 0
    with torch.no_grad():
        for line in (demo / "heldout.jsonl").read_text().splitlines():
            ids = tokenizer(json.loads(line)["text"], add_special_tokens=False).input_ids
            if total + len(ids) > 2048:
                break
            total += len(ids)
            logits = model(torch.tensor([ids])).logits[0, :-1]
            loss += torch.nn.functional.cross_entropy(
                logits, torch.tensor(ids[1:]), reduction="sum"
            ).item()
            count += len(ids) - 1
    assert f16.eval_tokens == count
    assert f16.perplexity == pytest.approx(float(torch.tensor(loss / count).exp()), rel=1e-3)


def test_each_scheme_is_smaller_and_further_from_the_base(demo: Path, demo_cli: Cli) -> None:
    schemes = ("--scheme", "Q8_0,Q4_K_M,IQ2_M")
    quick = ("--eval-tokens", "2048", "--no-verify")
    run = demo_cli("quantize", *schemes, *quick, "--json", "-o", "out")
    assert run.returncode == 0, run.stderr
    artifacts = json.loads(run.stdout)["artifacts"]
    sizes = [a["size_bytes"] for a in artifacts]
    divergences = [a["kl_divergence"] for a in artifacts]
    assert sizes == sorted(sizes, reverse=True)
    assert divergences == sorted(divergences)
    assert divergences[0] < 0.001
    assert artifacts[0]["perplexity"] == pytest.approx(artifacts[0]["perplexity_base"], rel=0.01)
    assert 8 < artifacts[0]["bits_per_weight"] < 9


def test_a_second_quantization_makes_only_what_is_missing(
    demo: Path, demo_cli: Cli, tmp_path: Path
) -> None:
    files_alone = ("--no-quality", "--no-verify", "-o", "out")
    demo_cli("quantize", "--scheme", "Q8_0", *files_alone)
    made = tmp_path / "out" / "demo-Q8_0.gguf"
    before = made.stat().st_mtime_ns
    run = demo_cli("quantize", "--scheme", "Q8_0,Q6_K", *files_alone, "--json")
    reused = {a["scheme"]: a["reused"] for a in json.loads(run.stdout)["artifacts"]}
    assert reused == {"Q8_0": True, "Q6_K": False}
    assert made.stat().st_mtime_ns == before
    made.write_bytes(made.read_bytes()[:1000])  # a damaged file is not trusted
    run = demo_cli("quantize", "--scheme", "Q8_0", *files_alone, "--json")
    assert json.loads(run.stdout)["artifacts"][0]["reused"] is False


# -- bad models
# --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [4, 100, 5000])
def test_truncated_weights_are_refused_and_leave_nothing(
    demo: Path, demo_cli: Cli, tmp_path: Path, keep: int
) -> None:
    shutil.copytree(demo, tmp_path / "broken")
    weights = tmp_path / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    run = demo_cli("quantize", "broken", "-o", "out")
    assert run.returncode == 2, run.stderr
    assert "truncated" in run.stderr
    assert not list((tmp_path / "out").glob("*.gguf*"))
    assert not list((tmp_path / "out").glob(".*.partial"))


def test_an_unknown_architecture_is_refused(demo: Path, demo_cli: Cli, tmp_path: Path) -> None:
    shutil.copytree(demo, tmp_path / "odd")
    config = json.loads((tmp_path / "odd" / "config.json").read_text())
    (tmp_path / "odd" / "config.json").write_text(
        json.dumps({**config, "architectures": ["OPTForCausalLM"]})
    )
    run = demo_cli("quantize", "odd")
    assert run.returncode == 2
    assert "llama.cpp has no architecture for 'OPTForCausalLM'" in run.stderr


def test_an_unknown_splitting_rule_is_refused(demo: Path, demo_cli: Cli, tmp_path: Path) -> None:
    shutil.copytree(demo, tmp_path / "odd")
    path = tmp_path / "odd" / "tokenizer.json"
    path.write_text(path.read_text().replace("'re|", "'RE|"))
    run = demo_cli("quantize", "odd")
    assert run.returncode == 2
    assert "splitting rule" in run.stderr


def test_a_broken_gguf_file_is_refused(demo_cli: Cli, tmp_path: Path, demo_gguf: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(demo_gguf.read_bytes()[:100_000])
    run = demo_cli("bench", "--model", "cut.gguf")
    assert run.returncode == 2
    assert "is cut" in run.stderr
    (tmp_path / "not.gguf").write_bytes(b"hello")
    assert demo_cli("bench", "--model", "not.gguf").returncode == 2


# -- the server
# --------------------------------------------------------------------------------------------


def test_answers_are_right_and_usage_is_counted(url: str) -> None:
    reply = chat(url, QUESTION)
    assert content(reply) == ANSWER
    assert reply["choices"][0]["finish_reason"] == "stop"
    answer = post(url, "/tokenize", {"content": ANSWER, "add_special_tokens": False})
    assert reply["usage"]["completion_tokens"] == answer["count"]
    prompt = post(url, "/tokenize", {"messages": [{"role": "user", "content": QUESTION}]})
    assert reply["usage"]["prompt_tokens"] == prompt["count"]


async def stream_text(
    session: aiohttp.ClientSession, url: str, body: Json
) -> tuple[str, int, Json]:
    text = ""
    chunks = 0
    usage = {}
    async with session.post(
        f"{url}/v1/chat/completions", json={**body, "stream": True}
    ) as response:
        async for line in response.content:
            if line.startswith(b"data: {"):
                event = json.loads(line[6:])
                usage = event.get("usage") or usage
                for choice in event["choices"]:
                    piece = choice["delta"].get("content")
                    text = text + (piece or "")
                    chunks = chunks + bool(piece)
    return text, chunks, usage


def test_streaming_gives_the_same_text_as_not_streaming(url: str) -> None:
    async def run() -> tuple[str, int, Json]:
        async with aiohttp.ClientSession() as session:
            message = [{"role": "user", "content": "How do I make a kite?"}]
            options = {"stream_options": {"include_usage": True}, "temperature": 0}
            return await stream_text(session, url, {"messages": message, **options})

    text, chunks, usage = asyncio.run(run())
    assert text == content(chat(url, "How do I make a kite?"))
    assert usage["completion_tokens"] >= chunks > 3


def test_greedy_output_is_the_same_alone_and_amid_fifteen_others(url: str) -> None:
    from llmops_cli.evaluate.demo_task import evaluation_examples

    prompts = [e.prompt for e in evaluation_examples(8)]
    alone = [
        content(
            post(url, "/v1/chat/completions", {"messages": p, "temperature": 0, "max_tokens": 40})
        )
        for p in prompts
    ]

    async def together() -> list[str]:
        async with aiohttp.ClientSession() as session:
            limit = asyncio.Semaphore(16)

            async def one(p: list[dict[str, str]]) -> str:
                async with limit:
                    return (
                        await stream_text(
                            session, url, {"messages": p, "temperature": 0, "max_tokens": 40}
                        )
                    )[0]

            return list(await asyncio.gather(*(one(p) for p in prompts)))

    assert asyncio.run(together()) == alone


def test_a_shared_beginning_is_not_computed_twice(url: str) -> None:
    head = " ".join(random.Random(5).choices(["tulip", "river", "stone", "cloud"], k=120))
    first = chat(url, head + " one", max_tokens=2)["usage"]
    second = chat(url, head + " two", max_tokens=2)["usage"]
    assert first["prompt_tokens_details"]["cached_tokens"] < 20
    assert second["prompt_tokens_details"]["cached_tokens"] >= second["prompt_tokens"] - 12


def test_seeded_sampling_repeats_and_n_choices_differ(url: str) -> None:
    body = {"temperature": 1.5, "seed": 11, "n": 3, "max_tokens": 20, "ignore_eos": True}
    first = chat(url, "Repeat: a b", **body)
    second = chat(url, "Repeat: a b", **body)
    texts = [c["message"]["content"] for c in first["choices"]]
    assert texts == [c["message"]["content"] for c in second["choices"]]
    assert len(set(texts)) > 1


def test_json_schema_is_obeyed_even_by_a_model_that_never_saw_json(url: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 8}, "ok": {"type": "boolean"}},
        "required": ["name", "ok"],
    }
    fields = {
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
        "max_tokens": 200,
    }
    value = json.loads(content(chat(url, QUESTION, **fields)))
    assert isinstance(value["name"], str)
    assert isinstance(value["ok"], bool)


def json_answer(url: str, schema: Json, **fields: Any) -> Json:
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    return chat(url, QUESTION, response_format=form, max_tokens=300, **fields)


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_a_grammar_ends_its_answer_also_where_the_end_is_ignored(
    url: str, temperature: float
) -> None:
    schema = {"type": "integer", "minimum": 1, "maximum": 5}
    reply = json_answer(url, schema, temperature=temperature, ignore_eos=True, seed=1)
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert 1 <= json.loads(content(reply)) <= 5


@pytest.mark.parametrize(
    "fields",
    [
        {"grammar": "root ::= " + "(" * 20000},
        {"grammar": "root ::= " + '"a"?' * 20000},
        {"grammar": 'root ::= root "a" | "a"'},
        {"grammar": 'root ::= "a"{1000000000}{1000000000}'},
        {"grammar": 'root ::= "1" root "b" | "1" root "c" | "1"', "ignore_eos": True},
        {"response_format": {"type": "json_schema", "schema": {"$ref": "#"}}},
        {"response_format": {"type": "json_schema", "schema": {"pattern": "((a{99}){99}){99}"}}},
        {
            "response_format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {"a": {"type": "string", "maxLength": 65536}},
                    "required": ["a"],
                },
            }
        },
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_no_grammar_ends_the_engine_or_other_answers(url: str, fields: Json) -> None:
    reply = chat(url, QUESTION, max_tokens=40, **fields)
    assert reply.get("status", 200) in (200, 400)
    assert content(chat(url, QUESTION)) == ANSWER


DAYS = {
    "type": "function",
    "function": {
        "name": "rain",
        "parameters": {
            "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 5}},
            "required": ["days"],
        },
    },
}


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "rain"}}], ids=["any", "named"]
)
def test_the_official_client_gets_a_call_that_it_can_make(url: str, choice: Any) -> None:
    import openai

    asked: Any = {
        "model": "demo",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [DAYS],
        "tool_choice": choice,
        "parallel_tool_calls": False,
        "temperature": 0,
    }
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        whole = client.chat.completions.create(**asked).choices[0]
        assert whole.finish_reason == "tool_calls"
        (call,) = whole.message.tool_calls or []
        assert call.type == "function"
        assert call.function.name == "rain"
        assert 1 <= json.loads(call.function.arguments)["days"] <= 5
        with client.chat.completions.stream(**asked) as stream:
            streamed = stream.get_final_completion().choices[0].message
        assert streamed.tool_calls is not None
        assert streamed.tool_calls[0].function.arguments == call.function.arguments
        result = {"role": "tool", "tool_call_id": call.id, "content": "2"}
        told = [*asked["messages"], whole.message.model_dump(exclude_none=True), result]
        del asked["tools"], asked["tool_choice"], asked["parallel_tool_calls"]
        answered = client.chat.completions.create(**{**asked, "messages": told, "max_tokens": 3})
        assert answered.usage is not None
        assert answered.usage.prompt_tokens > 20


def test_logprobs_sum_to_at_most_one_and_the_chosen_token_is_the_best(url: str) -> None:
    import math

    reply = chat(url, QUESTION, logprobs=True, top_logprobs=5)
    for entry in reply["choices"][0]["logprobs"]["content"]:
        assert entry["top_logprobs"][0]["token"] == entry["token"]
        assert sum(math.exp(top["logprob"]) for top in entry["top_logprobs"]) <= 1.0001


def test_a_prompts_log_probabilities_are_those_of_an_answer(url: str) -> None:
    prompt = post(url, "/tokenize", {"messages": [{"role": "user", "content": QUESTION}]})
    fields: Json = {"model": "demo", "temperature": 0, "logprobs": 1}
    tokens = prompt["tokens"]
    answer = post(url, "/v1/completions", {"prompt": tokens, "max_tokens": 2, **fields})
    said = answer["choices"][0]
    told = post(url, "/tokenize", {"content": said["text"], "add_special_tokens": False})["tokens"]
    whole = {"prompt": [*tokens, *told], "max_tokens": 0, "echo": True, **fields}
    echoed = post(url, "/v1/completions", whole)["choices"][0]["logprobs"]
    assert len(echoed["tokens"]) == len(tokens) + len(told)
    assert echoed["token_logprobs"][0] is None
    own = said["logprobs"]["token_logprobs"]
    assert echoed["token_logprobs"][len(tokens) :] == pytest.approx(own[: len(told)], abs=0.05)


def test_logit_bias_and_stop_and_length(url: str) -> None:
    named = {"content": f" {CAPITAL}", "add_special_tokens": False}
    token = post(url, "/tokenize", named)["tokens"][0]
    assert CAPITAL not in content(chat(url, QUESTION, logit_bias={str(token): -100}))
    stopped = chat(url, "How do I make a kite?", stop=["parts"])
    assert content(stopped) == "To make a kite, get the "
    assert stopped["choices"][0]["finish_reason"] == "stop"
    short = chat(url, "How do I make a kite?", max_tokens=3)
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": []}, "at least one"),
        ({}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}], "temperature": -1}, "temperature"),
        ({"messages": [{"role": "user", "content": "x " * 3000}]}, "maximum context length"),
        (
            {"messages": [{"role": "user", "content": "x"}], "logit_bias": {"999999": 1}},
            "not in the vocabulary",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "yaml"}},
            "unknown type",
        ),
        ({"messages": [{"role": "user", "content": "x"}], "grammar": "root ::= ("}, "grammar"),
    ],
)
def test_a_bad_request_is_answered_with_400_and_the_reason(
    url: str, body: Json, words: str
) -> None:
    reply = post(url, "/v1/chat/completions", body)
    assert reply["status"] == 400
    assert words in reply["error"]["message"]


def metric(url: str, name: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
        for line in response.read().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
    raise AssertionError(name)


def test_a_model_that_is_not_there_is_answered_with_404_and_those_that_are(url: str) -> None:
    reply = chat(url, "hello", model="other")
    assert reply["status"] == 404
    assert "no model 'other' here; there is demo" in reply["error"]["message"]


def test_a_client_that_goes_away_frees_its_slot(url: str) -> None:
    async def leave() -> None:
        async with aiohttp.ClientSession() as session:
            body = {
                "messages": [{"role": "user", "content": "Repeat: a"}],
                "stream": True,
                "ignore_eos": True,
            }
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                await response.content.readline()

    asyncio.run(leave())
    deadline = time.monotonic() + 5
    while metric(url, "llmops_running") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert metric(url, "llmops_running") == 0
    settled = metric(url, "llmops_output_tokens_total")
    time.sleep(0.3)
    assert metric(url, "llmops_output_tokens_total") == settled


def test_a_full_queue_answers_429_with_retry_after(url: str) -> None:
    async def flood() -> list[tuple[int, str | None]]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one() -> tuple[int, str | None]:
                body = {
                    "messages": [{"role": "user", "content": "Repeat: a b"}],
                    "max_tokens": 200,
                    "ignore_eos": True,
                }
                async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                    await response.read()
                    return response.status, response.headers.get("retry-after")

            return list(await asyncio.gather(*(one() for _ in range(120))))

    answers = asyncio.run(flood())
    refused = [retry for status, retry in answers if status == 429]
    assert refused
    assert all(retry is not None and int(retry) >= 1 for retry in refused)
    assert sum(status == 200 for status, _ in answers) >= 16
    assert content(chat(url, QUESTION)) == ANSWER


def test_a_taken_port_is_said_before_the_model_is_loaded(url: str, demo_gguf: Path) -> None:
    port = url.rsplit(":", 1)[1]
    argv = [
        sys.executable,
        str(WORKERS),
        "llamacpp.server",
        "--model",
        str(demo_gguf),
        "--port",
        port,
    ]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0
    assert "Address already in use" in run.stderr


def test_more_work_than_the_pool_holds_is_finished_by_preemption(
    demo_gguf: Path, tmp_path: Path
) -> None:
    options = {"max_model_len": "256", "kv_tokens": "512"}
    target = EngineTarget(model=str(demo_gguf), options=options)
    with started(target, folder=tmp_path, parallel=8, progress=Silent()) as server:
        replies: list[Json] = []

        def one(i: int) -> None:
            body = {
                "messages": [{"role": "user", "content": f"Repeat: {chr(97 + i)}"}],
                "max_tokens": 200,
            }
            replies.append(
                post(
                    server.url,
                    "/v1/chat/completions",
                    {**body, "ignore_eos": True, "temperature": 0},
                )
            )

        threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [r["usage"]["completion_tokens"] for r in replies] == [200] * 8
        assert metric(server.url, "llmops_preemptions_total") > 0


# -- commands
# ----------------------------------------------------------------------------------------------


def test_bench_defaults_to_the_demo_model_and_reports_memory(demo: Path, demo_cli: Cli) -> None:
    run = demo_cli(
        "bench", "--concurrency", "1,4", "--requests", "8", "--output-tokens", "16", "--json"
    )
    report = json.loads(run.stdout)
    assert report["memory"]["engine_peak_rss_bytes"] > 20e6
    for level in report["levels"]:
        assert level["errors"] == 0
        assert level["input_tokens"] == pytest.approx(8 * 64, abs=8)
        assert level["output_tokens"] == 8 * 16


def test_run_continues_after_kill_9(demo: Path, tmp_path: Path, shared_cache: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "quantize: {scheme: [Q8_0, Q4_0], imatrix: none, eval_tokens: 2048}\n"
        f"bench: {{concurrency: [1], requests: 4, seed: {os.getpid()}, allow_invalid: true}}\n"
        "evaluate: {per_skill: 4}\n"
    )
    argv = [sys.executable, "-m", "llmops_cli", "run", "r.yaml", "-o", "out"]
    env = {**os.environ, "XDG_CACHE_HOME": str(shared_cache)}
    with subprocess.Popen(argv, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        for line in first.stderr:
            if "bench and evaluate Q8_0: done" in line:
                first.kill()
                break
    second = subprocess.run(
        [*argv, "--json"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    report = json.loads(second.stdout)
    steps = {step["step"]: step["reused"] for step in report["steps"]}
    assert steps["bench and evaluate Q8_0"] is True
    assert steps["bench and evaluate Q4_0"] is False
    assert "Q4_0" in (tmp_path / "out" / "report.html").read_text()
    assert {row["name"] for row in report["rows"]} == {"Q8_0", "Q4_0"}
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 10_000
