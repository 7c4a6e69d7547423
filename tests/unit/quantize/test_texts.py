"""A text that cannot be used is told before a model is looked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.texts import check_texts, texts_of

ROW = json.dumps({"text": "the cat"}).encode() + b"\n"
BROKEN = {
    "latin.txt": (b"caf\xe9\n", "no UTF-8 at byte 3"),
    "latin.jsonl": (ROW + b'{"text": "caf\xe9"}\n', r"latin\.jsonl:2: no UTF-8"),
    "cut.jsonl": (ROW + b'{"text": "caf', r"cut\.jsonl:2: no JSON"),
    "other.jsonl": (ROW + b'{"label": 1}\n', "other.jsonl:2"),
    "cut.txt.gz": (b"\x1f\x8b\x08\x00", "cannot be unpacked"),
    "none.txt": (b"", "holds no text"),
    "blank.txt": (b" \n\n\t", "holds no text"),
    "blank.jsonl": (b"\n\n", "holds no text"),
    "nulls": (b"\0" * 5000, "neither text nor a known kind"),
    "table.csv": (b"a,b\n", r"\.csv is not read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_told_with_its_place(tmp_path: Path, name: str) -> None:
    content, message = BROKEN[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        check_texts(QuantizeRecipe(calibration=str(path)))
    with pytest.raises(UsageError, match=message):
        check_texts(QuantizeRecipe(eval_text=str(path)))


def test_what_can_be_read_passes(tmp_path: Path) -> None:
    check_texts(QuantizeRecipe())
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b"\xef\xbb\xbf" + ROW + '{"text": "a\u2028b"}'.encode())
    line = tmp_path / "line.txt"
    line.write_text("word " * 600_000)
    check_texts(QuantizeRecipe(calibration=str(rows), eval_text=str(line)))


def test_a_text_without_a_window_is_told_before_a_model_is_loaded(tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("word " * 20)
    with pytest.raises(UsageError, match="has 100 bytes; one window needs 512 tokens"):
        check_texts(QuantizeRecipe(eval_text=str(short)))


def test_a_slip_in_a_name_is_no_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--calibration multilingal: no such text") as error:
        check_texts(QuantizeRecipe(calibration="multilingal"))
    assert error.value.hint == "did you mean 'multilingual'?"
    with pytest.raises(UsageError, match=r"--eval-text: no file at no\.txt"):
        check_texts(QuantizeRecipe(eval_text="no.txt"))


def test_texts_lie_beside_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "heldout.jsonl").write_bytes(ROW)
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    heldout, _ = texts_of(QuantizeRecipe(), model)
    assert heldout == tmp_path / "heldout.jsonl"
