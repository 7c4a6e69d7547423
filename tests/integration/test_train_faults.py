"""Everything that docs/TRAINING_FAULTS.md says of what can go wrong while a model is trained."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")

TESTS = Path(__file__).parent.parent
Json = dict[str, Any]


class Told:
    """How a launch ended."""

    def __init__(self, answer: Json) -> None:
        self.codes: list[int | None] = answer["codes"]
        self.wall_s: float = answer["wall_s"]
        self._error: Json | None = answer["error"]
        self._output: Json | None = answer["output"]

    @property
    def output(self) -> Json:
        assert self._output is not None, self._error
        return self._output

    @property
    def error(self) -> Json:
        assert self._error is not None, self._output
        return self._error

    @property
    def message(self) -> str:
        return str(self.error["message"])


class Training:
    """Launches tiny runs in one folder, from a process that has imported torch already."""

    def __init__(self, server: subprocess.Popen[str], folder: Path) -> None:
        self._server = server
        self.folder = folder
        self.run = folder / "run"

    def launch(
        self,
        count: int = 2,
        *,
        signals: list[Json] | None = None,
        faults: Json | None = None,
        settings: Json | None = None,
        **job: Any,
    ) -> Told:
        strategy = "single" if count == 1 else "ddp"
        asked = {
            "folder": str(self.folder / "job"),
            "count": count,
            "signals": signals or [],
            "job": {
                "settings": {"steps": 12, "strategy": strategy, **(settings or {})},
                "output": str(self.run),
                "faults": faults or {},
                **job,
            },
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        return Told(json.loads(self._server.stdout.readline()))

    def lines(self, name: str) -> list[Json]:
        return [json.loads(line) for line in (self.run / name).read_text().splitlines()]

    def steps(self) -> list[int]:
        """Of its checkpoints."""
        names = [path.name for path in (self.run / "checkpoints").glob("step-*")]
        return sorted(int(name.removeprefix("step-")) for name in names)


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, str(TESTS / "train_ranks.py")]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


@pytest.fixture
def training(server: subprocess.Popen[str], tmp_path: Path) -> Training:
    return Training(server, tmp_path)


@pytest.fixture(scope="module")
def unbroken(server: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory) -> Json:
    """What twelve steps on two ranks come to."""
    folder = tmp_path_factory.mktemp("unbroken")
    return Training(server, folder).launch(weights=True).output


def test_the_newest_two_checkpoints_stay(training: Training) -> None:
    assert training.launch().codes == [0, 0]
    assert training.steps() == [9, 12]
    assert len((training.run / "metrics.jsonl").read_text().splitlines()) == 12


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_to_one_rank_saves_the_same_step_on_all(
    training: Training, unbroken: Json, name: str
) -> None:
    asked = {"steps": 5, "ranks": [1], "number": signal.Signals[name].value}
    told = training.launch(signals=[asked], faults={"step_s": 0.05})
    assert told.codes == [130, 130]
    assert told.error["kind"] == "Interrupted"
    saved = training.steps()[-1]
    assert told.message == f"ended by {name} after step {saved}, which is saved"
    again = training.launch()
    assert again.output["resumed_from"] == saved
    assert again.output["digest"] == unbroken["digest"]


@pytest.mark.parametrize(("rank", "other"), [(0, 1), (1, 0)])
def test_a_dead_rank_ends_all_within_seconds_and_is_named(
    training: Training, rank: int, other: int
) -> None:
    told = training.launch(faults={"kind": "kill", "step": 7, "rank": rank})
    assert told.codes[rank] == -signal.SIGKILL
    assert told.codes[other] == 1
    assert told.wall_s < 20
    assert told.error["kind"] == "EngineFailed"
    assert f"rank {rank} (process" in told.message
    assert told.message.endswith("died in rows of step 8")
    assert "the same command goes on from the last checkpoint" in told.error["hint"]


def test_the_last_lines_of_a_dead_rank_are_told(training: Training) -> None:
    told = training.launch(faults={"kind": "kill", "says": "about to die", "step": 7, "rank": 1})
    assert told.error["hint"].endswith("its last lines:\nabout to die")


@pytest.mark.quiet
@pytest.mark.parametrize("kind", ["hang", "stand still"])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_hangs_is_named_and_all_end(training: Training, kind: str, rank: int) -> None:
    faults = {"kind": kind, "step": 7, "rank": rank}
    told = training.launch(faults=faults, settings={"hang_timeout_s": 2.0})
    assert all(told.codes)
    assert told.wall_s < 20
    assert f"rank {rank} (process" in told.message
    assert "hangs: in rows of step 8 for" in told.message
    assert training.launch().codes == [0, 0]


def test_out_of_memory_names_the_options_that_help(training: Training) -> None:
    told = training.launch(faults={"kind": "memory", "step": 7, "rank": 1})
    assert told.codes == [1, 1]
    assert told.message == "rank 1 is out of memory in step 8"
    assert told.error["hint"].startswith("in this order: --accumulate 2")


def test_an_error_of_the_data_passes_through(training: Training) -> None:
    told = training.launch(faults={"kind": "row", "step": 7, "rank": 1})
    assert told.error["kind"] == "UsageError"
    assert told.message == "chats.jsonl:7 is no chat: it has no messages"


def test_a_loss_that_is_no_number_stops_with_the_state_before_it_saved(
    training: Training, unbroken: Json
) -> None:
    told = training.launch(faults={"nan_step": 7})
    assert told.error["kind"] == "EngineFailed"
    assert told.message == "step 8: the loss became nan"
    assert training.steps()[-1] == 7
    again = training.launch()
    assert again.output["resumed_from"] == 7
    assert again.output["digest"] == unbroken["digest"]


def test_a_skipped_step_changes_nothing(training: Training, unbroken: Json) -> None:
    told = training.launch(faults={"nan_step": 7}, settings={"on_spike": "skip"})
    (spike,) = told.output["spikes"]
    assert spike["step"] == 8
    assert spike["did"] == "skip"
    assert told.output["losses"][:7] == unbroken["losses"][:7]
    lines = training.lines("metrics.jsonl")
    assert [line["step"] for line in lines if line.get("skipped")] == [8]
    assert lines[7]["loss"] is None


def test_a_rollback_goes_on_from_the_last_checkpoint_without_the_rows_since_then(
    training: Training, unbroken: Json
) -> None:
    told = training.launch(faults={"nan_step": 7}, settings={"on_spike": "rollback"})
    assert told.output["left_out_steps"] == 2  # steps 7 and 8
    assert told.output["losses"][:6] == unbroken["losses"][:6]
    rows = training.lines("logs/ids-0.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert [row["ids"][0] // 8 for row in rows] == [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13]


def test_a_second_run_in_the_folder_is_refused(training: Training) -> None:
    from llmops_cli.runtime.paths import WORKERS

    holder = (
        f"import sys, time; sys.path.insert(0, {str(WORKERS)!r})\n"
        "from pathlib import Path; from train.lock import claim\n"
        f"lock = claim(Path({str(training.run)!r})); print('held', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", holder]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        told = training.launch()
        assert first.stdin is not None
        first.stdin.close()
    assert told.codes == [1, 1]
    assert told.error["kind"] == "UsageError"
    assert f"is in use by process {first.pid} on" in told.message


def test_too_little_room_is_refused_before_the_first_step(training: Training) -> None:
    told = training.launch(parameters=10**15)
    assert told.error["kind"] == "EnvironmentMissing"
    assert "GB are free" in told.message
    assert not training.steps()


def test_a_save_that_fails_is_a_line_and_training_goes_on(
    training: Training, unbroken: Json
) -> None:
    faults = {"kind": "full disk", "step": 4, "rank": 1, "room_step": 10, "step_s": 0.15}
    told = training.launch(faults=faults)
    assert told.codes == [0, 0]
    lines = [line for line in told.output["notices"] if "could not be saved" in line]
    assert len(lines) == 2
    assert lines[0].startswith("step-6 could not be saved (")
    assert lines[0].endswith("); step-3 is whole; training goes on")
    assert told.output["digest"] == unbroken["digest"]
    assert training.steps() == [3, 12]


def test_a_last_save_that_fails_ends_the_run_with_the_one_before_whole(
    training: Training, unbroken: Json
) -> None:
    told = training.launch(faults={"kind": "full disk", "step": 4, "rank": 1, "step_s": 0.15})
    assert told.error["kind"] == "EnvironmentMissing"
    assert "step-3 is whole" in told.message
    assert training.steps() == [3]
    again = training.launch()
    assert again.output["resumed_from"] == 3
    assert again.output["digest"] == unbroken["digest"]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("__1_0.distcp", _flip, "__1_0.distcp is not what was written"),
        ("__0_0.distcp", _cut, "__0_0.distcp has"),
        (".metadata", Path.unlink, ".metadata is missing"),
        ("manifest.json", _flip, "manifest.json"),
        ("manifest.json", Path.unlink, "manifest.json is missing"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    training: Training, unbroken: Json, name: str, damage: Any, words: str
) -> None:
    training.launch()
    damage(training.run / "checkpoints/step-12" / name)
    told = training.launch()
    assert told.output["resumed_from"] == 9
    (line,) = [line for line in told.output["notices"] if "passed over" in line]
    assert line.startswith("step-12 is passed over: ")
    assert words in line
    assert told.output["digest"] == unbroken["digest"]


def test_another_recipe_is_refused_by_the_names_that_differ(training: Training) -> None:
    training.launch(settings={"steps": 3})
    told = training.launch(settings={"learning_rate": 0.5, "seed": 4}, data={"files": "others"})
    assert told.error["kind"] == "UsageError"
    assert told.message == (
        "step-3 is of another run: files (drawn then, others now), "
        "learning_rate (0.01 then, 0.5 now), seed (0 then, 4 now)"
    )
    fewer = training.launch(settings={"steps": 2})
    assert fewer.message == "--steps 2 is less than the 3 steps that step-3 has done"


def test_more_steps_go_on(training: Training) -> None:
    settings = {"schedule": "constant", "steps": 6}
    training.launch(settings=settings)
    told = training.launch(settings={**settings, "steps": 12})
    assert told.output["resumed_from"] == 6
    assert len(told.output["losses"]) == 12


def test_a_run_that_begins_anew_keeps_the_checkpoints_aside(training: Training) -> None:
    training.launch(settings={"steps": 3})
    told = training.launch(settings={"seed": 4}, resume=False)
    assert told.output["resumed_from"] == 0
    assert (training.run / "checkpoints/before-1/step-3/manifest.json").exists()
    assert training.steps() == [9, 12]


@pytest.mark.parametrize(("first", "then"), [(2, 1), (2, 4), (1, 2)])
def test_a_run_goes_on_on_another_number_of_ranks(
    training: Training, unbroken: Json, first: int, then: int
) -> None:
    training.launch(first, settings={"steps": 6, "schedule": "constant"})
    told = training.launch(then, weights=True, settings={"schedule": "constant"})
    assert told.output["resumed_from"] == 6
    whole = Training(training._server, training.folder / "whole")
    same = whole.launch(settings={"schedule": "constant"}, weights=True).output
    losses = zip(told.output["losses"], same["losses"], strict=True)
    assert max(abs(mine - other) for mine, other in losses) < 1e-5


@pytest.mark.skipif(find_spec("deepspeed") is None, reason="deepspeed is not installed")
@pytest.mark.thorough
def test_zero_goes_on_elsewhere_and_from_elsewhere(training: Training) -> None:
    """Its flat pieces cut through tensors; a checkpoint has tensors."""
    layouts = [("fsdp", 2, 3), ("zero2", 2, 6), ("zero3", 4, 9), ("single", 1, 12)]
    settings = {"schedule": "constant"}
    for strategy, count, steps in layouts:
        asked = {**settings, "strategy": strategy, "steps": steps}
        told = training.launch(count, settings=asked, weights=True)
        assert told.output["resumed_from"] == steps - 3
    whole = Training(training._server, training.folder / "whole")
    same = whole.launch(1, settings=settings, weights=True).output
    losses = zip(told.output["losses"], same["losses"], strict=True)
    assert max(abs(mine - other) for mine, other in losses) < 1e-5
