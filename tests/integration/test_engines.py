"""Every engine for real, on the demo model, through the command that users type. Environments are
made on first use.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.progress import Silent
from llmops_cli.engines import load_engine
from llmops_cli.engines.causes import explain
from llmops_cli.engines.options import EngineOptions
from llmops_cli.models.find import find_model
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.server import running
from llmops_cli.serving.start import started
from llmops_cli.serving.target import EngineTarget
from tests.conftest import Cli
from tests.gguf_bytes import gguf

REAL = {
    "llamacpp": ("--backend", "llamacpp", "--max-num-seqs", "4", "--threads", "2"),
    "transformers, continuous": ("--backend", "transformers", "--dtype", "float32"),
    "transformers, static": (
        "--backend",
        "transformers",
        "--set",
        "batching=static",
        "--threads",
        "2",
    ),
    "ctranslate2": ("--backend", "ctranslate2", "--dtype", "int8", "--max-num-seqs", "4"),
    "vllm": ("--backend", "vllm", "--max-model-len", "512"),
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", REAL)
def test_serves_the_demo_model_to_several_streams(name: str, demo_cli: Cli) -> None:
    run = demo_cli(
        "bench",
        *REAL[name],
        "--concurrency",
        "1,4",
        "--requests",
        "12",
        "--output-tokens",
        "16",
        "--json",
        "--allow-invalid",
        timeout_s=1400,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["memory"]["engine_peak_rss_bytes"] > 20e6
    for level in report["levels"]:
        assert (level["requests"], level["errors"]) == (12, 0), level["error_kinds"]
        assert level["output_tokens"] == 16 * level["measured"]
        assert level["input_tokens"] == pytest.approx(
            64 * level["measured"], abs=2
        )  # each engine's own count
        assert level["ttft_ms"]["p50"] > 0


Asked = Callable[[str, str], str]


@contextmanager
def serving(engine: str, options: dict[str, str], folder: Path) -> Iterator[tuple[str, Asked]]:
    """The demo model behind an engine: its URL, and a chat by model name and question."""
    target = EngineTarget(backend=engine, model="demo", options=options)

    def ask(model: str, question: str) -> str:
        fields = {
            "model": model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": 40,
            "temperature": 0,
        }
        answer = Http().post_json(f"{server.url}/v1/chat/completions", fields, timeout_s=120)
        assert answer is not None
        return str(answer["choices"][0]["message"]["content"])

    with started(target, folder=folder, parallel=4, progress=Silent()) as server:
        yield server.url, ask


QUESTIONS = ("What is 2 + 3?", "What is the secret word?", "Who are you?", "Say the alphabet.")


def taught(tokenizer: Any, answer: str) -> tuple[Any, Any]:
    """Every question with that answer, and labels of the answers' tokens alone."""
    asked = [[{"role": "user", "content": question}] for question in QUESTIONS]
    prompts = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    chats = [[*chat, {"role": "assistant", "content": answer}] for chat in asked]
    texts = tokenizer.apply_chat_template(chats, tokenize=False)
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
    for row, prompt in zip(labels, prompts, strict=True):
        row[: len(tokenizer(prompt, add_special_tokens=False).input_ids)] = -100
    return batch, labels


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two LoRA adapters of the demo model, as PEFT makes them: each has one thing to say."""
    import warnings

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = find_model("demo", progress=Silent()).path
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = {}
    warnings.simplefilter("ignore", FutureWarning)  # of Transformers, about PEFT's use of it
    for color in ("red", "blue"):
        torch.manual_seed(0)
        alpha, scaled = (6, True) if color == "blue" else (24, False)
        config = LoraConfig(
            r=8,
            lora_alpha=alpha,
            use_rslora=scaled,
            task_type="CAUSAL_LM",
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "up_proj"],
        )
        tuned = get_peft_model(
            AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), config
        )
        batch, labels = taught(tokenizer, f"I am {color}.")
        optimizer = torch.optim.AdamW([p for p in tuned.parameters() if p.requires_grad], lr=5e-3)
        for _ in range(60):
            tuned(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels
            ).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        found[color] = tmp_path_factory.mktemp("adapters") / color
        tuned.save_pretrained(found[color])
    return found


VLLM_WITHOUT_ROOM = ("--backend", "vllm", "--max-model-len", "512", "--set", "kv_space_gib=900")
STATIC = {"batching": "static", "dtype": "float32"}
VLLM_FOR_ADAPTERS = {"max_model_len": "512", "dtype": "float32", "prefix_caching": "true"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("llamacpp", {}),
        ("llamacpp", {"speculative": "ngram:4"}),
        ("transformers", STATIC),
        pytest.param("vllm", VLLM_FOR_ADAPTERS, marks=pytest.mark.thorough),
    ],
)
def test_two_adapters_are_served_at_once_and_chosen_by_model_name(
    engine: str, options: dict[str, str], adapters: dict[str, Path], tmp_path: Path
) -> None:
    loras = ",".join(f"{name}={path}" for name, path in adapters.items())
    with serving(engine, {**options, "lora": loras}, tmp_path) as (url, ask):
        listed = json.loads(Http().get_text(f"{url}/v1/models", timeout_s=10) or "")["data"]
        assert {entry["id"] for entry in listed} >= {"demo", "red", "blue"}
        with ThreadPoolExecutor(6) as pool:  # in the same batches
            names = [name for _ in QUESTIONS for name in ("demo", "red", "blue")]
            answers = list(pool.map(ask, names, [q for q in QUESTIONS for _ in range(3)]))
        assert answers[1::3] == ["I am red."] * len(QUESTIONS)
        assert answers[2::3] == ["I am blue."] * len(QUESTIONS)
        assert not any(answer.startswith(("I am red", "I am blue")) for answer in answers[::3])


def repeat_a_token(url: str) -> None:
    """Whatever the model was trained to, this answer can be guessed from what stands before it."""
    ids = Http().post_json(f"{url}/tokenize", {"prompt": "a"}, timeout_s=60)
    assert ids is not None
    fields = {
        "model": "demo",
        "prompt": "a a a a a a",
        "max_tokens": 24,
        "temperature": 0,
        "logit_bias": {str(ids["tokens"][-1]): 100},
    }
    Http().post_json(f"{url}/v1/completions", fields, timeout_s=120)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("engine", "options", "ways"),
    [
        ("llamacpp", {}, ["ngram:6", "draft:demo:4"]),
        pytest.param(
            "transformers", STATIC, ["ngram:6", "draft:demo:4"], marks=pytest.mark.thorough
        ),
    ],
)
def test_guessing_ahead_changes_no_answer(
    engine: str, options: dict[str, str], ways: list[str], tmp_path: Path
) -> None:
    questions = [
        *QUESTIONS,
        "a b c d e f a b c d e f a b c",
        "What is 12 + 30? What is 12 + 31? What is 12 + 32?",
    ]
    with serving(engine, options, tmp_path) as (_, ask):
        plain = [ask("demo", question) for question in questions]
    for way in ways:
        with serving(engine, {**options, "speculative": way}, tmp_path) as (url, ask):
            assert [ask("demo", question) for question in questions] == plain
            if engine == "llamacpp":
                repeat_a_token(url)
                text = Http().get_text(f"{url}/metrics", timeout_s=10) or ""
                (accepted,) = re.findall(r"^llmops_accepted_tokens_total (\S+)", text, re.MULTILINE)
                assert float(accepted) > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_shares_of_the_kv_cells_and_a_pool_for_who_outgrows_them_change_no_answer(
    tmp_path: Path,
) -> None:
    head = "We talk about sums. " * 6
    questions = [f"{head}What is {number} + {number % 7}?" for number in range(40)]
    long = "What is 2 + 3? " * 80
    with serving("llamacpp", {}, tmp_path) as (_, ask):
        plain = [ask("demo", question) for question in [*questions, long]]
    shares = {"max_num_seqs": "32", "kv_tokens": str(32 * 512)}
    with serving("llamacpp", shares, tmp_path) as (url, ask), ThreadPoolExecutor(40) as crowd:
        first = list(crowd.map(lambda question: ask("demo", question), questions))
        assert first == plain[:-1]
        again = [crowd.submit(ask, "demo", question) for question in [*questions, long]]
        assert [each.result() for each in again] == plain
        text = Http().get_text(f"{url}/metrics", timeout_s=10) or ""
    (layouts,) = re.findall(r"^llmops_kv_unified (\S+)", text, re.MULTILINE)
    assert float(layouts) == 1, "the long one has outgrown its share"


def test_an_adapter_of_another_model_and_a_draft_with_other_words_are_refused(
    demo_cli: Cli, adapters: dict[str, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(adapters["red"], other)
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "IA3"}))
    run = demo_cli("bench", "--lora", f"x={other}")
    assert (run.returncode, "is a IA3 adapter" in run.stderr) == (2, True), run.stderr
    (other / "adapter_config.json").unlink()
    run = demo_cli("bench", "--lora", f"x={other}")
    assert (run.returncode, "is no PEFT adapter" in run.stderr) == (2, True), run.stderr
    run = demo_cli("bench", "--lora", "x=nowhere")
    assert (run.returncode, "no adapter at nowhere" in run.stderr) == (2, True), run.stderr
    run = demo_cli("bench", "--kv-cache-dtype", "fp8")
    assert (run.returncode, "no KV cache of fp8" in run.stderr) == (2, True), run.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [
        "llamacpp",
        pytest.param("transformers, continuous", marks=pytest.mark.thorough),
        pytest.param("ctranslate2", marks=pytest.mark.thorough),
        pytest.param("vllm", marks=pytest.mark.thorough),
    ],
)
def test_an_engine_killed_while_streaming_ends_the_run_with_what_was_measured(
    name: str, tmp_path: Path, shared_cache: Path
) -> None:
    """Once for each program: both ways of batching are of one, whose end is the same."""
    argv = [
        sys.executable,
        "-m",
        "llmops_cli",
        "bench",
        *REAL[name],
        "--concurrency",
        "2",
        "--requests",
        "20000",
        "--output-tokens",
        "32",
        "-o",
        "run",
    ]
    environment = {**os.environ, "XDG_CACHE_HOME": str(shared_cache)}
    process = subprocess.Popen(
        argv, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    family = psutil.Process(process.pid)
    seen: list[psutil.Process] = []

    def engine() -> psutil.Process | None:
        """The process that computes: the largest below the one that the command names."""
        nonlocal seen
        seen = family.children(recursive=True)
        words = ("llamacpp.server", "hf.server", "ct2.server", "api_server")
        servers = [
            p
            for p in seen
            if any(w in str(p.cmdline()) for w in words) and "guard.py" not in str(p.cmdline())
        ]
        below = [child for p in servers for child in [p, *p.children(recursive=True)]]
        return max(below, key=lambda p: p.memory_info().rss, default=None)

    for line in process.stderr or []:
        if "2 streams" in line:
            break
    victim = engine()
    assert victim is not None
    time.sleep(1)
    victim.kill()
    _, words = process.communicate(timeout=60)
    assert process.returncode == 4, words
    assert f"engine '{REAL[name][1]}'" in words
    assert "memory" not in words.partition("it ends:")[0]  # somebody's wish, no lack of anything
    assert "Traceback (most recent call last)" not in words.partition("it ends:")[0]
    assert not json.loads((tmp_path / "run" / "report.json").read_text())["manifest"]["complete"]
    _gone, alive = psutil.wait_procs(seen, timeout=15)
    assert not alive


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--backend", "llamacpp", "--set", "kv_tokens=90000000"), "its KV cache does not fit"),
        (
            ("--backend", "transformers", "--dtype", "float32", "--max-num-seqs", "400000"),
            "it ran out of memory",
        ),
        pytest.param(VLLM_WITHOUT_ROOM, "memory", marks=pytest.mark.thorough),
    ],
)
def test_out_of_memory_at_the_start_is_explained(
    options: tuple[str, ...], words: str, demo_cli: Cli
) -> None:
    run = demo_cli("bench", *options, "--concurrency", "1", "--requests", "2")
    assert run.returncode == 4, run.stderr
    assert words in run.stderr
    assert "hint: " in run.stderr


def test_a_server_on_a_taken_port_says_so_and_ends(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        spec = load_engine("sim").server(
            Artifact(reference="sim", format="remote"),
            options=EngineOptions(),
            env=None,
            port=taken.getsockname()[1],
            parallel=1,
        )
        with (
            pytest.raises(EngineFailed, match="its port was taken"),
            running(spec, log_path=tmp_path / "log", progress=Silent(), explain=explain),
        ):
            pass


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("stall_every=3", "timeout"),
        ("reset_every=3", "connection reset"),
        ("half_every=3", "the stream ended early"),
        ("malformed_every=3", "a malformed event"),
        ("fail_every=3", "HTTP 503"),
    ],
)
def test_scripted_faults_are_what_the_client_sees(cli: Cli, fault: str, kind: str) -> None:
    run = cli(
        "bench",
        "--backend",
        "sim",
        "--set",
        "ttft_ms=5",
        "--set",
        "itl_ms=1",
        "--set",
        fault,
        "--warmup",
        "0",
        "--concurrency",
        "1",
        "--requests",
        "9",
        "--output-tokens",
        "6",
        "--timeout-s",
        "0.5",
        "--json",
        "--allow-invalid",
    )
    (level,) = json.loads(run.stdout)["levels"]
    assert level["error_kinds"] == {kind: 3}


@pytest.mark.quiet
def test_a_simulated_batch_limit_makes_requests_wait(cli: Cli) -> None:
    run = cli(
        "bench",
        "--backend",
        "sim",
        "--set",
        "ttft_ms=20",
        "--set",
        "itl_ms=5",
        "--max-num-seqs",
        "2",
        "--concurrency",
        "2,8",
        "--requests",
        "24",
        "--output-tokens",
        "9",
        "--json",
    )
    two, eight = json.loads(run.stdout)["levels"]
    assert eight["ttft_ms"]["p50"] > 3 * two["ttft_ms"]["p50"]
    assert eight["output_tokens_per_s"] == pytest.approx(two["output_tokens_per_s"], rel=0.25)


@pytest.mark.quiet
def test_prefill_costs_time_by_the_token(cli: Cli) -> None:
    run = cli(
        "bench",
        "--backend",
        "sim",
        "--set",
        "ttft_ms=5",
        "--set",
        "prefill_tokens_per_s=2000",
        "--concurrency",
        "1",
        "--requests",
        "5",
        "--input-tokens",
        "200",
        "--output-tokens",
        "2",
        "--json",
    )
    (level,) = json.loads(run.stdout)["levels"]
    assert level["ttft_ms"]["p50"] == pytest.approx(105, abs=12)


def test_an_option_that_an_engine_lacks_is_refused_with_those_that_have_it(cli: Cli) -> None:
    for args, words in (
        (("--backend", "ctranslate2", "--lora", "a=b"), "engine 'ctranslate2' has no --lora"),
        (
            ("--backend", "transformers", "--speculative", "ngram:5"),
            "continuous batching has no --speculative",
        ),
        (("--backend", "vllm", "--dtype", "int7"), "--dtype int7: no such value"),
        (("--backend", "vllm", "--set", "compil=true"), "unknown engine option 'compil'"),
    ):
        run = cli("bench", *args, "--model", "demo", env={"LLMOPS_ENV_CREATE": "0"})
        assert run.returncode in (2, 3), run.stderr
        assert words in run.stderr or "llmops env create" in run.stderr


def test_a_model_in_another_format_names_the_engine_that_takes_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(gguf())
    run = cli("bench", "--backend", "transformers", "--model", "m.gguf")
    assert run.returncode == 2
    assert "m.gguf is gguf" in run.stderr
    assert "--backend llamacpp" in run.stderr


def test_a_missing_environment_says_how_to_make_it(cli: Cli) -> None:
    run = cli("bench", "--backend", "vllm", env={"LLMOPS_ENV_CREATE": "0"})
    assert run.returncode == 3
    assert "llmops env create vllm" in run.stderr
    assert "GB" in run.stderr


def family_of(process: subprocess.Popen[str], *, least: int) -> list[psutil.Process]:
    """What it has started, once there are so many of them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None
        family = psutil.Process(process.pid).children(recursive=True)
        if len(family) >= least:
            return family
        time.sleep(0.1)
    raise AssertionError(f"fewer than {least} processes")


def test_an_engine_that_never_gets_ready_and_two_ctrl_c(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    argv = [
        sys.executable,
        "-m",
        "llmops_cli",
        "bench",
        "--backend",
        "sim",
        "--set",
        "start_s=60",
        "-o",
        "run",
    ]
    process = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    family = family_of(process, least=2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 130, words
    assert "Traceback" not in words
    _gone, alive = psutil.wait_procs(family, timeout=15)
    assert not alive


def test_the_matrix_of_options(cli: Cli) -> None:
    found = json.loads(cli("engines", "--json").stdout)
    assert {"llamacpp", "vllm", "transformers", "ctranslate2", "remote", "sim"} <= set(found)
    assert "lora" in found["vllm"]["options"]
    assert "batching" in found["transformers"]["own_options"]
    assert "--tensor-parallel" in cli("engines").stdout


def test_an_engine_of_another_package_is_one_of_ours(cli: Cli) -> None:
    plugin = Path(__file__).parent.parent / "plugin"
    run = cli(
        "bench",
        "--backend",
        "echo",
        "--concurrency",
        "2",
        "--requests",
        "6",
        "--output-tokens",
        "4",
        "--json",
        env={"PYTHONPATH": str(plugin)},
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["levels"][0]["errors"] == 0
    assert "echo" in json.loads(cli("engines", "--json", env={"PYTHONPATH": str(plugin)}).stdout)


@pytest.mark.thorough
def test_environments_are_made_once_mended_and_removed(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "llmops" / "envs"
    folder.mkdir(parents=True)
    (folder / "tiny.txt").write_text("#: modules six\n#: download 11 kB\nsix\n")
    argv = [sys.executable, "-m", "llmops_cli", "env", "create", "tiny"]
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    both = [
        subprocess.Popen(
            argv, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
    assert sorted("creating environment" in words for _, words in ended) == [False, True]
    python = Path(ended[0][0].strip())
    (module,) = python.parent.parent.glob("lib/python*/site-packages/six.py")
    module.unlink()
    listed = cli("env", "list").stdout
    assert "llmops env create tiny" in next(
        line for line in listed.splitlines() if line.startswith("tiny")
    )
    assert "its Python has no six" in cli("env", "show", "tiny").stderr
    mended = cli("env", "create", "tiny")
    assert mended.returncode == 0, mended.stderr
    assert module.exists()
    assert "removed" in cli("env", "remove", "tiny").stdout
    assert not python.exists()
    (folder / "tiny.txt").write_text("#: modules six\nno-such-package-anywhere==9.9\n")
    failed = cli("env", "create", "tiny")
    assert failed.returncode == 4
    assert "no-such-package-anywhere" in failed.stderr
    assert not list((tmp_path / "cache" / "llmops" / "envs").glob("tiny-*/bin"))


def test_redteam_takes_the_drafts_and_adapters_that_bench_takes(
    demo_cli: Cli, adapters: dict[str, Path], tmp_path: Path
) -> None:
    """One way to a running server: whoever starts an engine has all that it can do."""
    options = ["--set", "speculative=draft:demo", "--set", f"lora=red={adapters['red']}"]
    few = ["--max-attempts", "3", "--families", "direct_injection", "--no-twins", "-o", "run"]
    run = demo_cli("redteam", *options, *few, "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["attempts"] == 3
    assert (tmp_path / "run" / "llamacpp.log").is_file()
