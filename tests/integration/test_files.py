"""Model files as they come: in parts, quantized before, pickled, odd or hostile; and odd texts."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.gguf_bytes import Tensor, gguf, split

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SPLIT = """
import sys
from pathlib import Path
from gguf import GGUFReader, GGUFValueType, GGUFWriter
source, target = sys.argv[1:]
reader = GGUFReader(source)
writer = GGUFWriter(None, "llama", split_max_tensors=8)
for field in reader.fields.values():
    if not field.name.startswith("GGUF.") and field.name != "general.architecture":
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], inner)
for tensor in reader.tensors:
    data = tensor.data
    writer.add_tensor(tensor.name, data, raw_shape=data.shape, raw_dtype=tensor.tensor_type)
writer.write_header_to_file(Path(target))
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
"""
COMMANDS = (("quantize",), ("serve",), ("bench", "--backend", "llamacpp", "--model"))
QUICK = ("--no-verify", "--eval-tokens", "1024", "--imatrix", "none", "--json")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """The demo as one F16 file (whole.gguf), and the same in three parts."""
    folder = tmp_path_factory.mktemp("files")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "llmops_cli", "quantize", "demo"),
            *("--scheme", "F16", "--no-verify", "--no-quality", "-o", str(folder), "--json"),
        ],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(shared_cache)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    (made,) = json.loads(run.stdout)["artifacts"]
    whole = Path(made["path"]).rename(folder / "whole.gguf")
    parts = folder / "parts"
    parts.mkdir()
    argv = [sys.executable, "-c", SPLIT, str(whole), str(parts / "m.gguf")]
    subprocess.run(argv, check=True, timeout=200)
    assert len(list(parts.iterdir())) == 3
    return folder


def artifact(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr[-2000:]
    (found,) = json.loads(run.stdout)["artifacts"]
    return dict(found)


def inspected(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr[-2000:]
    return dict(json.loads(run.stdout))


def test_a_model_in_parts_is_what_it_is_in_one_file(files: Path, demo_cli: Cli) -> None:
    second = files / "parts" / "m-00002-of-00003.gguf"
    seen = inspected(demo_cli("quantize", "inspect", str(second), "--json"))
    whole = inspected(demo_cli("quantize", "inspect", str(files / "whole.gguf"), "--json"))
    assert (seen["parts"], whole["parts"]) == (3, 1)
    assert seen["loads_in"] == whole["loads_in"] == ["llamacpp"]
    assert seen["kinds"] == whole["kinds"]
    by_folder = inspected(demo_cli("quantize", "inspect", str(files / "parts"), "--json"))
    assert by_folder == seen
    assert seen["bits_per_weight"] == whole["bits_per_weight"] == pytest.approx(16, abs=0.1)
    made = [
        artifact(demo_cli("quantize", str(path), "--scheme", "Q8_0", *QUICK, "-o", out))
        for path, out in ((second, "a"), (files / "parts", "b"), (files / "whole.gguf", "c"))
    ]
    assert Path(made[0]["path"]).name == "m-Q8_0.gguf"
    figures = ("kl_divergence", "perplexity_base", "perplexity", "bits_per_weight")
    assert len({tuple(each[name] for name in figures) for each in made}) == 1
    assert made[0]["requantized_from"] == ""
    said = demo_cli(
        *("bench", "--backend", "llamacpp", "--model", str(second), "--concurrency", "1"),
        *("--requests", "2", "--allow-invalid", "--json"),
    )
    assert said.returncode == 0, said.stderr[-2000:]
    assert json.loads(said.stdout)["levels"][0]["errors"] == 0


def test_a_missing_part_is_named_by_every_command(
    files: Path, demo_cli: Cli, tmp_path: Path
) -> None:
    shutil.copytree(files / "parts", tmp_path / "some")
    (tmp_path / "some" / "m-00003-of-00003.gguf").unlink()
    first = "some/m-00001-of-00003.gguf"
    for argv in (
        ("quantize", "inspect", first),
        ("quantize", first, "--scheme", "Q8_0"),
        ("bench", "--backend", "llamacpp", "--model", first),
        ("serve", first),
    ):
        run = demo_cli(*argv)
        assert run.returncode == 2, argv
        assert "m-00003-of-00003.gguf of 3 parts of the model is missing" in run.stderr
        assert "Traceback" not in run.stderr


def test_what_is_quantized_is_quantized_again_if_that_is_wished(files: Path, demo_cli: Cli) -> None:
    first = artifact(demo_cli("quantize", str(files / "whole.gguf"), "--scheme", "Q4_0", *QUICK))
    path = str(first["path"])
    run = demo_cli("quantize", path, "--scheme", "Q3_K_M", *QUICK)
    assert run.returncode == 2
    assert "is quantized already (Q4_0" in run.stderr
    assert "--allow-requantize" in run.stderr
    again = artifact(demo_cli("quantize", path, "--scheme", "Q3_K_M", *QUICK, "--allow-requantize"))
    assert again["requantized_from"].startswith("Q4_0")
    assert again["perplexity_base"] == pytest.approx(first["perplexity"], rel=1e-6)
    assert again["kl_divergence"] > 0
    assert again["size_base_bytes"] == first["size_bytes"]
    third = ("--scheme", "Q2_K", *QUICK, "--no-quality", "--allow-requantize")
    last = artifact(demo_cli("quantize", str(again["path"]), *third))
    before = again["requantized_from"].split(", ")
    assert set(before) < set(last["requantized_from"].split(", "))
    wide = artifact(demo_cli("quantize", path, "--scheme", "F16", *QUICK, "--allow-requantize"))
    assert wide["kl_divergence"] < 5e-3  # llama.cpp rounds what it multiplies by Q4_0, not by F16
    assert wide["bits_per_weight"] == pytest.approx(16, abs=0.1)
    assert "with which its quality is compared" in wide["check"]["reason"]
    alone = artifact(demo_cli("quantize", str(files / "whole.gguf"), *QUICK, "--no-quality"))
    assert "--no-quality leaves out" in alone["check"]["reason"]
    run = demo_cli("quantize", "demo", "--method", "int4", "--allow-requantize")
    assert run.returncode == 2
    assert "method int4 has no --allow-requantize" in run.stderr


def test_odd_and_hostile_files_are_told_in_a_line(demo_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(gguf()[:-1])
    (tmp_path / "many.gguf").write_bytes(gguf(tensor_count=1 << 60))
    (tmp_path / "lora.gguf").write_bytes(gguf({"general.type": "adapter"}))
    for name in ("cut", "many", "lora"):
        for argv in (
            ("quantize",),
            ("serve",),
            ("bench", "--backend", "llamacpp", "--model"),
        ):
            run = demo_cli(*argv, f"{name}.gguf")
            assert run.returncode == 2, (name, argv)
            said = [line for line in run.stderr.splitlines() if "no key yet" not in line]
            assert len(said) <= 2, run.stderr
    odd = {"general.architecture": "[/red]\x1b[2Jx", "general.file_type": 145}
    (tmp_path / "odd.gguf").write_bytes(gguf(odd, [Tensor("[bold]a[/]", type_number=139)]))
    run = demo_cli("quantize", "inspect", "odd.gguf")
    assert run.returncode == 0, run.stderr
    assert "[/red]?[2Jx" in run.stdout
    assert "type 139" in run.stdout
    assert "does not load" in run.stdout
    assert "loads in" not in run.stdout
    split(tmp_path, 2, stem="tiny")
    seen = inspected(demo_cli("quantize", "inspect", "tiny-00002-of-00002.gguf", "--json"))
    assert (seen["parts"], seen["loads_in"]) == (2, [])
    assert "cannot load" in seen["does_not_load"]


@pytest.mark.thorough
def test_pickled_weights_are_those_of_safetensors(
    files: Path, demo_cli: Cli, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    source = Path(json.loads(demo_cli("models", "get", "demo", "--json").stdout)["path"])
    folder = tmp_path / "pickled"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(load_file(source / "model.safetensors"), folder / "pytorch_model.bin")
    seen = inspected(demo_cli("quantize", "inspect", "pickled", "--json"))
    plain = inspected(demo_cli("quantize", "inspect", str(source), "--json"))
    assert (seen["kinds"], seen["bits_per_weight"]) == (plain["kinds"], plain["bits_per_weight"])
    made = artifact(demo_cli("quantize", "pickled", "--scheme", "F16", *QUICK, "-o", "out"))
    whole = (files / "whole.gguf").read_bytes()
    assert len(Path(tmp_path / made["path"]).read_bytes()) == pytest.approx(len(whole), abs=512)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    for argv in (("quantize", "inspect"), ("quantize",), ("serve",)):
        run = demo_cli(*argv, "pickled")
        assert run.returncode == 2, run.stderr
        assert "nothing of it ran" in run.stderr
    assert not list(tmp_path.rglob("ran"))


def test_texts_are_read_alike(
    files: Path, demo_cli: Cli, tmp_path: Path, shared_cache: Path
) -> None:
    text = "The cat sat\u2028on the\u0085mat. " * 40
    row = json.dumps({"text": text}, ensure_ascii=False).encode()
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + row + b"\n" + row))
    (tmp_path / "rows.jsonl").write_bytes(row + b"\n" + row)
    whole = str(files / "whole.gguf")
    figures = []
    for name in ("rows.jsonl", "rows.jsonl.gz"):
        options = ("--scheme", "Q8_0", *QUICK, "--eval-text", name, "-o", "out")
        figures.append(artifact(demo_cli("quantize", whole, *options))["perplexity"])
    assert figures[0] == figures[1]
    (tmp_path / "old.txt").write_bytes(b"plain\ncaf\xe9\n" * 900)
    run = demo_cli("quantize", whole, "--scheme", "Q8_0", *QUICK, "--eval-text", "old.txt")
    assert run.returncode == 2
    assert "old.txt:2: no UTF-8 at byte 9 of the file" in run.stderr
    few = demo_cli(
        *("quantize", "demo", "--method", "gguf", "--scheme", "Q4_0", "--no-verify", "-o", "few"),
        *("--no-quality", "--calibration", "rows.jsonl", "--json"),
    )
    assert few.returncode == 0, few.stderr[-2000:]
    assert "tokens where 32,768 were wanted: too few to rely on" in few.stderr
    assert not list((tmp_path / "few").glob("*imatrix*")), "another -o would compute it again"
    assert list((shared_cache / "llmops" / "quantized").glob("*/demo*-imatrix-*.gguf"))
