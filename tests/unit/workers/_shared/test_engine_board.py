"""What engines tell of themselves and their machine, beside what the gateway tells of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from _shared.build import DIGEST_CHARS, MODEL_DIGEST
from _shared.engine_board import EngineBoard
from _shared.metric_family import MetricFamily, Sample, exposition
from _shared.process_tree import tree_use
from llmops_cli.deploy.monitoring.metric_names import OF_ENGINE_BOARDS
from llmops_cli.runtime.paths import WORKERS
from llmops_cli.serve.watch.machine_board import GPUS, PROCESSES
from tests.fake_nvml import library_folder

Samples = dict[tuple[str, str], float]
"""By name and card."""

BOTH = """
import sys, time
from prometheus_client import CollectorRegistry, generate_latest
from llmops_cli.serve.watch.machine_board import MachineBoard
sys.path.insert(0, sys.argv[1])
from _shared.engine_board import EngineBoard
from _shared.metric_family import exposition
registry = CollectorRegistry()
registry.register(MachineBoard("llmops_"))
engine = EngineBoard("m")
until = time.monotonic() + 20
while time.monotonic() < until:
    ours = exposition(engine.families())
    theirs = generate_latest(registry).decode()
    if "gpu_utilization{" in ours and "gpu_utilization{" in theirs:
        break
    time.sleep(0.01)
print(ours, "----", theirs, sep="\\n")
"""
HANGS = """
import sys, time
sys.path.insert(0, sys.argv[1])
from _shared.card_readings import CardReadings
readings = CardReadings(every_s=0.01, stale_s=0.3)
until = time.monotonic() + 20
while not readings.now() and time.monotonic() < until:
    time.sleep(0.01)
print(len(readings.now()))
begun = time.monotonic()
while readings.now() and time.monotonic() < until:
    time.sleep(0.01)
print(len(readings.now()), time.monotonic() - begun < 5)
"""
COMES_BACK = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from _shared.card_readings import CardReadings
from llmops_cli.runtime.gpu_readings import GpuReadings
both = [kind(every_s=0.01, again_s=0.05) for kind in (CardReadings, GpuReadings)]
until = time.monotonic() + 20
def wait_for(cards):
    found = None
    while found != [cards, cards] and time.monotonic() < until:
        time.sleep(0.01)
        found = [[each.gpu for each in readings.now()] for readings in both]
    print(found)
if "FAKE_NVML_LOST" in os.environ:
    wait_for(["1"])
else:
    wait_for([])
    time.sleep(0.1)
os.remove(os.environ.get("FAKE_NVML_LOST") or os.environ["FAKE_NVML_UNREADY"])
wait_for(["0", "1"])
"""


def printed(program: str, folder: Path, **variables: str) -> str:
    """By a process that finds the driver in this folder."""
    driver = library_folder(folder)
    env = {**os.environ, "LD_LIBRARY_PATH": str(driver), **variables}
    argv = [sys.executable, "-c", program, str(WORKERS)]
    return subprocess.run(
        argv, env=env, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def samples_in(text: str) -> Samples:
    found = {}
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            found[each.name, each.labels.get("uuid", "")] = each.value
    return found


def test_cards_are_told_as_the_gateway_tells_them(tmp_path: Path) -> None:
    ours, _, theirs = printed(BOTH, tmp_path).partition("----")
    cards = {key: value for key, value in samples_in(ours).items() if key[1]}
    assert cards == {key: value for key, value in samples_in(theirs).items() if key[1]}
    assert {name for name, _ in cards} == {f"llmops_{name}" for name in GPUS}
    assert cards["llmops_gpu_utilization", "GPU-1"] == 0.41
    assert cards["llmops_gpu_power_watts", "GPU-0"] == 250
    assert ("llmops_gpu_power_watts", "GPU-1") not in cards
    assert {name for name, _ in samples_in(ours)} >= OF_ENGINE_BOARDS


def test_a_driver_that_hangs_keeps_no_scrape_waiting(tmp_path: Path) -> None:
    assert printed(HANGS, tmp_path, FAKE_NVML_HANGS="1").split() == ["2", "0", "True"]


@pytest.mark.parametrize(
    ("trouble", "before"),
    [("FAKE_NVML_LOST", "[['1'], ['1']]"), ("FAKE_NVML_UNREADY", "[[], []]")],
)
def test_a_lost_card_hides_no_other_and_a_late_driver_is_found(
    trouble: str, before: str, tmp_path: Path
) -> None:
    """By engines and by the gateway: none of their cards was told any more."""
    file = tmp_path / "trouble"
    file.touch()
    told = printed(COMES_BACK, tmp_path, **{trouble: str(file)}).splitlines()
    assert told == [before, "[['0', '1'], ['0', '1']]"]


def test_without_cards_there_are_the_gateways_gauges_of_processes() -> None:
    names = {family.name.removeprefix("llmops_") for family in EngineBoard("m").families()}
    assert names == {"build_info", "model_info", *PROCESSES}


def test_processes_below_count_and_cpu_time_never_falls() -> None:
    before = tree_use(os.getpid())
    burn = "import time\nwhile time.process_time() < 0.3: pass\ninput()"
    child = subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE)
    until = time.monotonic() + 10
    during = before
    while during.cpu_seconds < before.cpu_seconds + 0.25 and time.monotonic() < until:
        during = tree_use(os.getpid())
    assert during.processes == before.processes + 1
    assert during.resident_bytes > 1e7
    assert during.open_files >= len(os.listdir("/proc/self/fd")) - 2
    child.communicate(b"\n")
    after = tree_use(os.getpid())
    assert after.cpu_seconds >= during.cpu_seconds - 0.02  # the kernel counts in hundredths
    assert after.cpu_seconds >= before.cpu_seconds + 0.25


def test_a_process_that_has_gone_is_told_as_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert tree_use(child.pid).processes == 0


def test_the_model_is_told_as_its_starter_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL_DIGEST, f"sha256:{'0123456789abcdef' * 4}")
    found = {family.name: family.samples[0].labels for family in EngineBoard("m").families()}
    assert found["llmops_model_info"] == {"model": "m", "digest": "0123456789ab"}
    assert len(found["llmops_build_info"]["build"]) == DIGEST_CHARS


def test_any_name_of_a_model_is_read_again() -> None:
    name = 'a "b" \\ c\nd'
    family = MetricFamily("x", "What it is", [Sample(1, {"model": name})])
    (read,) = text_string_to_metric_families(exposition([family]))
    assert read.samples[0].labels == {"model": name}
