"""Quantizers of Hugging Face folders for real, on the demo model: made, measured, served, resumed,
inspected.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import CompletedProcess

import psutil
import pytest

from llmops_cli.runtime.hardware import probe_hardware
from tests.conftest import IS_THOROUGH, Cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
QUICK = ("--samples", "16", "--seq-len", "128", "--eval-tokens", "2048")
FREE = "int4,fp8"
"""Methods without calibration: seconds each."""
KINDS = f"{FREE},nvfp4,awq,gptq,kv-cache,int8@ctranslate2,gguf:Q4_K_M"
"""A method of each kind: 4-bit floating point, calibrated, of other libraries."""
VARIANTS = ",int8,mxfp4:MXFP4A16,spinquant,smoothquant,nf4"
SWEEP = KINDS + VARIANTS * IS_THOROUGH
OLD = {"gptq-W4A16-g128@auto-gptq": "gptq", "awq-W4A16_ASYM-g128@autoawq": "awq"}
"""Artifacts of libraries that are no longer developed, and their formats."""


def artifacts(text: str) -> dict[str, dict[str, object]]:
    return {entry["name"]: entry for entry in json.loads(text)["artifacts"]}


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path
) -> tuple[Path, dict[str, dict[str, object]]]:
    """Every kind of method once: without and with calibration, weights and activations, other
    libraries' formats.
    """
    folder = tmp_path_factory.mktemp("quantized")
    argv = [
        sys.executable,
        "-m",
        "llmops_cli",
        "quantize",
        "--sweep",
        SWEEP,
        *QUICK,
        "--no-verify",
        "-o",
        "out",
        "--json",
    ]
    run = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(shared_cache)},
        capture_output=True,
        text=True,
        timeout=1400,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert json.loads(run.stdout)["failures"] == {}
    return folder, artifacts(run.stdout)


def test_each_method_is_smaller_near_the_base_and_says_so(
    made: tuple[Path, dict[str, dict[str, object]]],
) -> None:
    folder, found = made
    assert len(found) == len(SWEEP.split(","))
    for name, entry in found.items():
        assert entry["problems"] == [], name
        assert 0 <= entry["kl_divergence"] < 0.2, name
        assert entry["perplexity"] < 1.2 * entry["perplexity_base"], name
        assert entry["top1_agreement"] > 0.8, name
        if not name.startswith("kv-cache"):
            assert entry["size_bytes"] < 0.9 * entry["size_base_bytes"], name
        if entry["format"] != "gguf":
            saved = json.loads((Path(folder) / str(entry["path"]) / "llmops.json").read_text())
            assert saved["digest"] == entry["digest"]
            assert "torch" in saved["versions"]
            assert "perplexity" in (Path(folder) / str(entry["path"]) / "README.md").read_text()
    assert found["awq-W4A16_ASYM-g128"]["calibration"]["samples"] == 16
    assert found["fp8-FP8_DYNAMIC"]["calibration"] is None
    kept = next(Path(folder).glob("results/*"))
    assert (kept / "quantize.png").stat().st_size > 10_000
    assert "gptq-W4A16-g128" in (kept / "report.html").read_text()


def test_calibrated_methods_lose_less_than_plain_rounding(
    made: tuple[Path, dict[str, dict[str, object]]],
) -> None:
    """By KL: a model's perplexity on a text can fall by chance when its weights are disturbed."""
    _, found = made
    calibrated = {"awq-W4A16_ASYM-g128", "gptq-W4A16-g128", "spinquant-W4A16-g128"}
    assert len(calibrated & set(found)) >= 2
    for name in sorted(calibrated & set(found)):
        assert found[name]["kl_divergence"] < found[name]["kl_rounding"], name


def test_libraries_that_are_no_longer_developed_still_quantize_on_a_cpu(demo_cli: Cli) -> None:
    """Measured by today's Transformers; what loses more than plain rounding is called so."""
    if demo_cli("env", "show", "quantize-old").returncode:
        pytest.skip("no environment quantize-old: llmops env create quantize-old")
    sweep = "gptq@auto-gptq,awq@autoawq"
    run = demo_cli("quantize", "--sweep", sweep, *QUICK, "--no-verify", "-o", "out", "--json")
    assert run.returncode == 0, run.stderr[-3000:]
    found = artifacts(run.stdout)
    assert {name: entry["format"] for name, entry in found.items()} == OLD
    for name, entry in found.items():
        assert entry["problems"] == [], name
        assert 0 < entry["kl_divergence"] < 0.05, name
        assert entry["served"]["engine"].startswith("transformers 5"), name
    gptq = found["gptq-W4A16-g128@auto-gptq"]
    assert gptq["kl_divergence"] < gptq["kl_rounding"]


def test_a_rotation_that_changes_the_model_is_refused(demo_cli: Cli, tmp_path: Path) -> None:
    """A LayerNorm takes the mean away, of which llm-compressor's rotation knows nothing."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.StableLmConfig(
        vocab_size=1007,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
    )
    demo = Path(demo_cli("models", "get", "demo").stdout.strip())
    folder = tmp_path / "stablelm"
    transformers.StableLmForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo / name, folder / name)
    options = ("--method", "spinquant", "--group-size", "64", *QUICK, "--no-quality")
    run = demo_cli("quantize", str(folder), *options, "--no-verify", "-o", "out")
    assert run.returncode == 2, run.stderr
    assert "before anything is rounded" in run.stderr
    assert "Traceback" not in run.stderr


VLLM_VARIANTS = ("fp8", "gptq", "spinquant", "smoothquant")


def has_wide_kernels() -> bool:
    """Whether vLLM's kernel for 4-bit weights runs here."""
    hardware = probe_hardware()
    return "avx" not in str(hardware["cpu_flags"]) or "avx512f" in str(hardware["cpu_flags"])


@pytest.mark.parametrize(
    "method",
    ["awq", *(pytest.param(each, marks=pytest.mark.thorough) for each in VLLM_VARIANTS)],
)
def test_vllm_serves_what_was_made(
    method: str, made: tuple[Path, dict[str, dict[str, object]]], demo_cli: Cli
) -> None:
    run = _served(demo_cli, "vllm", _path(made, method), "--max-model-len", "512")
    if method in ("awq", "gptq", "spinquant") and not has_wide_kernels():
        assert run.returncode == 3, run.stderr[-2000:]
        assert "no kernel for W4A16 weights" in run.stderr
        return
    _assert_answered(run)


def test_transformers_serves_what_was_made(
    made: tuple[Path, dict[str, dict[str, object]]], demo_cli: Cli
) -> None:
    _assert_answered(_served(demo_cli, "transformers", _path(made, "gptq")))
    run = _served(demo_cli, "transformers", _path(made, "awq"))
    assert run.returncode == 4, run.stderr[-2000:]
    assert "asymmetric 4-bit weights" in run.stderr
    assert "--backend vllm" in run.stderr


def _path(made: tuple[Path, dict[str, dict[str, object]]], method: str) -> str:
    folder, found = made
    entry = next(entry for name, entry in found.items() if name.startswith(f"{method}-"))
    return str(Path(folder) / str(entry["path"]))


def _served(demo_cli: Cli, backend: str, path: str, *more: str) -> CompletedProcess[str]:
    return demo_cli(
        "bench",
        "--backend",
        backend,
        "--model",
        path,
        *more,
        "--concurrency",
        "2",
        "--requests",
        "4",
        "--output-tokens",
        "8",
        "--warmup",
        "0",
        "--json",
        "--allow-invalid",
        timeout_s=600,
    )


def _assert_answered(run: CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stderr[-2000:]
    (level,) = json.loads(run.stdout)["levels"]
    assert (level["requests"], level["errors"]) == (4, 0), level["error_kinds"]


def test_inspect_says_what_each_is(
    made: tuple[Path, dict[str, dict[str, object]]], demo_cli: Cli
) -> None:
    folder, found = made
    wanted = {
        "awq-W4A16_ASYM-g128": ("compressed-tensors", "W4A16", 4, 128, False),
        "gptq-W4A16-g128": ("compressed-tensors", "W4A16", 4, 128, True),
        "smoothquant-W8A8": ("compressed-tensors", "W8A8", 8, None, True),
        "fp8-FP8_DYNAMIC": ("compressed-tensors", "FP8A8", 8, None, True),
        "nvfp4-NVFP4-g16": ("compressed-tensors", "NVFP4", 4, 16, True),
        "mxfp4-MXFP4A16-g32": ("compressed-tensors", "MXFP4A16", 4, 32, True),
        "nf4-NF4": ("bitsandbytes", "NF4", 4, None, None),
        "int8-W8A8@ctranslate2": ("ct2", None, None, None, None),
        "gguf-Q4_K_M": ("gguf", "Q4_K_M", None, None, None),
    }
    assert len(wanted.keys() & found.keys()) >= 6
    for name in sorted(wanted.keys() & found.keys()):
        kind, scheme, bits, group, symmetric = wanted[name]
        run = demo_cli(
            "quantize", "inspect", str(Path(folder) / str(found[name]["path"])), "--json"
        )
        assert run.returncode == 0, run.stderr
        seen = json.loads(run.stdout)
        assert (
            seen["format"],
            seen["scheme"],
            seen["bits"],
            seen["group_size"],
            seen["symmetric"],
        ) == (kind, scheme, bits, group, symmetric), name
        assert seen["made_from"] == "demo"
        assert sum(entry["bytes"] for entry in seen["kinds"]) <= seen["size_bytes"]
    text = demo_cli(
        "quantize", "inspect", str(Path(folder) / str(found["gguf-Q4_K_M"]["path"]))
    ).stdout
    assert "embeddings" in text
    assert "loads in llamacpp" in text


def test_a_second_run_makes_nothing_again_and_equals_the_first(
    made: tuple[Path, dict[str, dict[str, object]]], shared_cache: Path
) -> None:
    folder, found = made
    argv = [
        sys.executable,
        "-m",
        "llmops_cli",
        "quantize",
        "--sweep",
        f"{FREE},gptq",
        *QUICK,
        "--no-verify",
        "-o",
        "out",
        "--json",
    ]
    run = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(shared_cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    for name, entry in artifacts(run.stdout).items():
        assert entry["reused"], name
        assert entry["digest"] == found[name]["digest"]


def test_a_sweep_killed_in_the_middle_goes_on_and_ends_the_same(
    made: tuple[Path, dict[str, dict[str, object]]], tmp_path: Path, shared_cache: Path
) -> None:
    _, found = made
    argv = [
        sys.executable,
        "-m",
        "llmops_cli",
        "quantize",
        "--sweep",
        "int4,gptq",
        *QUICK,
        "--no-verify",
        "--no-quality",
        "-o",
        "out",
        "--json",
    ]
    environment = {**os.environ, "XDG_CACHE_HOME": str(shared_cache)}
    process = subprocess.Popen(
        argv, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    for _ in range(600):
        if list((tmp_path / "out").glob("demo-int4*/llmops.json")):
            break
        time.sleep(0.1)
    time.sleep(random.Random(0).uniform(1, 3))
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    _gone, alive = psutil.wait_procs(below, timeout=15)
    assert not alive
    weights = tmp_path / "out" / "demo-int4-W4A16-g128" / "model.safetensors"
    first = weights.stat().st_mtime_ns
    run = subprocess.run(
        argv,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    ended = artifacts(run.stdout)
    assert ended["int4-W4A16-g128"]["reused"]
    assert weights.stat().st_mtime_ns == first  # its check may have been added
    assert ended["gptq-W4A16-g128"]["digest"] == found["gptq-W4A16-g128"]["digest"]
    assert not list((tmp_path / "out").glob(".*partial"))


@pytest.mark.timeout(1000)  # a slow machine with company takes 300 s for the answers of three
def test_the_demos_questions_are_asked_of_the_base_and_of_each_artifact(
    demo_cli: Cli, tmp_path: Path
) -> None:
    args = (
        "quantize",
        "--sweep",
        "int8@ctranslate2,gguf:Q8_0" if IS_THOROUGH else "gguf:Q8_0",
        "--fit",
        "2GiB",
        "-o",
        "out",
        "--json",
    )
    run = demo_cli(*args, timeout_s=900)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    base = report["accuracy_base"]["demo"]
    assert base["average"] > 0.8
    assert {"average", "fact", "secret"} <= set(base)
    for entry in report["artifacts"]:
        assert abs(entry["served"]["accuracy"]["demo"]["average"] - base["average"]) < 0.1, entry[
            "name"
        ]
        assert entry["served"]["output_tokens_per_s"] > 0
    if not IS_THOROUGH:
        logs = [path.name for path in (tmp_path / "out").glob(".served-*.log")]
        assert logs == [".served-llamacpp.log"]  # no other engine starts for the base of a file
    assert report["recommended"].startswith("best that fits 2.00 GiB")
    (kept,) = (tmp_path / "results").iterdir()
    assert "demo average: base" in demo_cli("report", "show", str(kept)).stdout


def test_a_loss_over_the_limit_exits_5_and_marks_the_artifact(
    demo_cli: Cli, tmp_path: Path
) -> None:
    run = demo_cli(
        "quantize",
        "--method",
        "int4",
        "--bits",
        "2",
        "--group-size",
        "256",
        "--max-perplexity-increase",
        "0.1%",
        "--eval-tokens",
        "2048",
        "--no-verify",
        "-o",
        "out",
    )
    assert run.returncode == 5, run.stderr
    assert "perplexity grew by" in run.stderr
    (saved,) = (tmp_path / "out").glob("*/llmops.json")
    assert "more than 0.10%" in json.loads(saved.read_text())["problems"][0]["text"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--method", "awq", "--calibration", "nowhere.jsonl"), 2, "no file at nowhere.jsonl"),
        (("--method", "fp8", "--group-size", "64"), 2, "method fp8 has no --group-size"),
        (
            ("--method", "int4", "--group-size", "1024"),
            2,
            "groups of 1024 do not divide the 256 columns",
        ),
        (("--method", "awq", "--engine", "gptqmodel"), 3, "NVIDIA GPU only"),
        (("demo", "other"), 2, "unexpected extra argument(s) (other)"),
        (("--eval", "arc_easy"), 2, "no such evaluator"),
        (("--method", "awq", "--samples", "100000", "--seq-len", "100000"), 3, "of memory"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    args: tuple[str, ...], code: int, words: str, demo_cli: Cli
) -> None:
    run = demo_cli("quantize", *args, "-o", "out")
    assert run.returncode == code, run.stderr
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_what_is_not_there_cannot_be_inspected(demo_cli: Cli) -> None:
    run = demo_cli("quantize", "inspect", "nowhere")
    assert run.returncode == 2
    assert "no model at nowhere" in run.stderr


def test_an_evaluator_that_is_not_installed_is_said_before_any_work(
    demo_cli: Cli, tmp_path: Path
) -> None:
    run = demo_cli(
        "quantize", "--eval", "lm-eval:arc_easy", env={"XDG_CACHE_HOME": str(tmp_path / "cache")}
    )
    assert run.returncode == 3
    assert "llmops env create lm-eval" in run.stderr


def test_the_model_that_is_read_is_not_written_into(tmp_path: Path, demo_cli: Cli) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    run = demo_cli("quantize", "model", "--method", "int8", "-o", "model/out")
    assert run.returncode == 2
    assert "inside the model" in run.stderr


@pytest.mark.thorough
def test_calibration_from_chats_parquet_and_the_model_itself(demo_cli: Cli, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    chats = [
        [
            {"role": "user", "content": f"What is {i} + 3?"},
            {"role": "assistant", "content": str(i + 3)},
        ]
        for i in range(60)
    ]
    (tmp_path / "chats.jsonl").write_text(
        "".join(json.dumps({"messages": chat}) + "\n" for chat in chats)
    )
    pq.write_table(
        pa.table({"text": [f"The number {i} is after {i - 1}." for i in range(99)]}),
        tmp_path / "t.parquet",
    )
    seen = {}
    sources = ["chats.jsonl", "generated", *["t.parquet"] * IS_THOROUGH]
    for source in sources:
        run = demo_cli(
            "quantize",
            "--method",
            "gptq",
            "--calibration",
            source,
            "--samples",
            "6",
            "--seq-len",
            "64",
            "--no-verify",
            "--no-quality",
            "-o",
            f"out-{source}",
            "--json",
        )
        assert run.returncode == 0, run.stderr
        ((_, entry),) = artifacts(run.stdout).items()
        facts = entry["calibration"]
        assert facts["samples"] == 6
        assert facts["tokens"] == 6 * 64
        seen[source] = facts["digest"]
    assert len(set(seen.values())) == len(sources)
