"""A measurement is kept under all that answered, and a remote server's never."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.core.artifact import Artifact
from llmops_cli.core.progress import Silent
from llmops_cli.core.spec import ServerSpec
from llmops_cli.engines import EngineFacts
from llmops_cli.engines.options import EngineOptions
from llmops_cli.pipeline.kept import Kept, files_read
from llmops_cli.serving.measured import measurement_key
from llmops_cli.serving.target import EngineTarget, PreparedTarget, prepare_target


class Figures(msgspec.Struct):
    tokens_per_s: float


class Watcher(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def sim(**options: str) -> PreparedTarget:
    return prepare_target(EngineTarget(backend="sim", options=options), progress=Silent())


def remote(url: str) -> PreparedTarget:
    return prepare_target(EngineTarget(backend="remote", url=url), progress=Silent())


def test_the_same_engine_has_the_same_key() -> None:
    assert measurement_key(sim(ttft_ms="5"), "load") == measurement_key(sim(ttft_ms="5"), "load")


def test_another_option_load_model_or_engine_has_another_key() -> None:
    model = Artifact(reference="m", format="gguf", path="/m", digest="sha256:1")
    changed = PreparedTarget(
        EngineTarget(backend="sim"),
        engine=sim().engine,
        options=EngineOptions(),
        env=None,
        artifact=model,
    )
    keys = [
        measurement_key(sim(), "load"),
        measurement_key(sim(ttft_ms="75"), "load"),
        measurement_key(sim(), "another load"),
        measurement_key(changed, "load"),
    ]
    assert len(set(keys)) == len(keys)


def test_a_server_that_was_built_anew_has_another_key(tmp_path: Path) -> None:
    """`binary=` names a program of the user's own."""
    binary = tmp_path / "llama-server"
    binary.write_text("one")
    model = tmp_path / "m.gguf"
    model.touch()
    artifact = Artifact(reference="m", format="gguf", path=str(model), digest="sha256:1")
    wish = EngineTarget(options={"binary": str(binary)}, artifact=artifact)
    target = prepare_target(wish, progress=Silent())
    before = measurement_key(target, "load")
    assert measurement_key(target, "load") == before
    binary.write_text("two")
    assert measurement_key(target, "load") != before


class Scripted:
    """An engine of another package, whose version stays whatever it starts."""

    facts = EngineFacts()

    def __init__(self, *argv: str) -> None:
        self.argv = argv

    def check(self, options: EngineOptions) -> None:
        """Takes everything."""

    def server(self, artifact: Artifact, **_: object) -> ServerSpec:
        return ServerSpec(engine="x", argv=self.argv, url="http://127.0.0.1:1", model="x")


def test_an_engine_that_starts_something_else_has_another_key(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text("one")

    def key_of(*argv: str) -> str | None:
        target = PreparedTarget(
            EngineTarget(backend="x"),
            engine=Scripted("python", str(script), *argv),
            options=EngineOptions(),
            env=None,
            artifact=Artifact(reference="m", format="none"),
        )
        return measurement_key(target, "load")

    first = key_of("--fast")
    assert key_of("--fast") == first
    assert key_of() != first
    script.write_text("two")
    assert key_of("--fast") != first


@pytest.mark.parametrize(
    "variable", ["CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "VLLM_ATTENTION_BACKEND", "LD_PRELOAD"]
)
def test_an_engine_that_is_steered_otherwise_has_another_key(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """An engine has the variables of whoever starts it."""
    monkeypatch.delenv(variable, raising=False)
    before = measurement_key(sim(), "load")
    monkeypatch.setenv("EDITOR", "another")
    assert measurement_key(sim(), "load") == before
    monkeypatch.setenv(variable, "")
    assert measurement_key(sim(), "load") != before


@pytest.mark.parametrize(
    "variable", ["VLLM_API_KEY", "NVIDIA_API_KEY", "VLLM_HOST_IP", "TRITON_CACHE_DIR"]
)
def test_a_new_key_of_an_api_or_another_folder_of_caches_is_the_same_engine(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    before = measurement_key(sim(), "load")
    monkeypatch.setenv(variable, "another")
    assert measurement_key(sim(), "load") == before


class Packaged(Scripted):
    """An engine of a library that may be compiled in several ways."""

    facts = EngineFacts(packages=("compiled",))


def test_a_library_that_was_compiled_anew_has_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by CMAKE_ARGS="-DGGML_CUDA=on" pip install --force-reinstall: the version stays."""
    installed = tmp_path / "compiled-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Name: compiled\nVersion: 1.0\n")
    record = installed / "RECORD"
    record.write_text("compiled/lib.so,sha256=one,100\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    target = PreparedTarget(
        EngineTarget(backend="x"),
        engine=Packaged("python"),
        options=EngineOptions(),
        env=None,
        artifact=Artifact(reference="m", format="none"),
    )
    before = measurement_key(target, "load")
    assert measurement_key(target, "load") == before
    record.write_text("compiled/lib.so,sha256=two,100\n")
    assert measurement_key(target, "load") != before


def test_a_server_that_somebody_else_runs_is_never_answered_from_a_cache() -> None:
    assert measurement_key(remote("http://127.0.0.1:9"), "load") is None
    kept = Kept(None, Silent())
    kept.write(Figures(tokens_per_s=1.0))
    assert kept.read(Figures) is None


def test_a_rewritten_file_is_another_load(tmp_path: Path) -> None:
    data = tmp_path / "prompts.jsonl"
    data.write_text('{"prompt": "a"}\n')
    recipe = BenchRecipe(dataset=str(data))
    before = files_read(recipe)
    data.write_text('{"prompt": "b"}\n')
    assert files_read(recipe) != before
    assert files_read(BenchRecipe()) == {}


def test_what_was_kept_is_read_again_and_what_is_cut_is_measured_anew(tmp_path: Path) -> None:
    watcher = Watcher()
    kept = Kept("sha256:" + "a" * 64, watcher)
    assert kept.read(Figures) is None
    kept.write(Figures(tokens_per_s=41.0))
    assert kept.read(Figures) == Figures(tokens_per_s=41.0)
    file = next((tmp_path / "llmops" / "measured").glob("*.json"))
    for broken in (b"", file.read_bytes()[:10], b'{"tokens_per_s": "fast"}'):
        file.write_bytes(broken)
        assert kept.read(Figures) is None
    assert len(watcher.warnings) == 3
