"""`llmops plan` as a program: its JSON, what it imports and how long it takes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pace import slowness

FIELDS = {
    "fits",
    "weights_bytes",
    "kv_bytes_per_token",
    "kv_pool_bytes",
    "max_concurrency",
    "decode_tps",
    "prefill_tps",
    "ttft_ms",
    "tpot_ms",
    "throughput_tps",
    "cost_per_million_tokens",
}
SERVE = ["plan", "serve", "llama-3.1-8b", "--gpu", "h100", "--gpus", "1", "--context", "4096"]


def test_json_has_the_named_figures_and_nothing_else() -> None:
    argv = [sys.executable, "-m", "llmops_cli", *SERVE, "--concurrency", "16", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert set(found) == FIELDS
    for figure in found.values():
        assert set(figure) == {"value", "low", "high", "formula", "source"}


def test_neither_torch_nor_transformers_is_imported() -> None:
    code = (
        "import sys\n"
        "from llmops_cli.cli.app import main\n"
        f"sys.argv = ['llmops', *{SERVE!r}, '--json']\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'psutil', 'email'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.quiet
def test_an_answer_takes_at_most_four_tenths_of_a_second() -> None:
    """On a machine of usual speed; a slower one has as much more as a loop takes there."""
    answer = [sys.executable, "-m", "llmops_cli", *SERVE, "--json"]
    assert _least_spent_s(answer) < 0.4 * slowness()


@pytest.mark.quiet
def test_an_answer_costs_little_more_than_the_help() -> None:
    answer = [sys.executable, "-m", "llmops_cli", *SERVE, "--json"]
    words = [sys.executable, "-m", "llmops_cli", "--help"]
    assert _least_spent_s(answer) < 3 * _least_spent_s(words)


def _least_spent_s(argv: list[str]) -> float:
    """CPU seconds of the quickest of three runs: what else runs only adds to them."""
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        user_s = after.ru_utime - before.ru_utime
        system_s = after.ru_stime - before.ru_stime
        spent.append(user_s + system_s)
    return min(spent)


def test_a_plan_of_training_needs_no_data_and_is_that_of_a_dry_run(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "architectures": ["LlamaForCausalLM"],
                "model_type": "llama",
                "hidden_size": 2048,
                "intermediate_size": 5632,
                "num_hidden_layers": 22,
                "num_attention_heads": 32,
                "num_key_value_heads": 4,
                "vocab_size": 32000,
            }
        )
    )
    asked = ["--init", str(config), "--nproc", "8", "--gpu", "h100", "--json"]
    plan = _llmops("plan", "train", *asked)
    data = tmp_path / "any.jsonl"
    data.write_text('{"text": "a"}\n')
    dry_run = _llmops("train", *asked, "--dry-run", "--data", str(data))
    assert plan["chosen"] in plan["strategies"]
    assert plan == dry_run


def _llmops(*words: str) -> Any:  # Any: JSON
    argv = [sys.executable, "-m", "llmops_cli", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_plan_that_is_kept_has_a_page_beside_it(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "llmops_cli", *SERVE, "--save", str(tmp_path / "kept")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "llama-3.1-8b" in (tmp_path / "kept" / "report.html").read_text()
    assert f"page: {tmp_path / 'kept' / 'report.html'}" in done.stderr
