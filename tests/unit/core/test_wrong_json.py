"""Files that are not what was asked for: told in words of whoever wrote them, never a library's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import CUT_CHARACTER, wrong_body
from llmops_cli.guard.learnt.model import MODEL, load_stage
from llmops_cli.models.servable import require_servable
from llmops_cli.models.tensors import tensors_of
from llmops_cli.plan.fitted import read_groups
from llmops_cli.plan.references import read_references
from llmops_cli.serve.answers.dialects.messages_rules import typed
from llmops_cli.serve.refusal import Refusal
from llmops_cli.sizing.served_models import read_json
from llmops_cli.train.foreign.weights import refuse_weights

Read = Callable[[Path], object]
STOPS_EARLY = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="Python 3.14 reads on, and names the place"
)
READERS: dict[str, tuple[str, Read]] = {
    "config": ("config.json", require_servable),
    "index": ("model.safetensors.index.json", tensors_of),
    "guard": (MODEL, load_stage),
    "fit": ("fit.json", lambda folder: read_groups(str(folder / "fit.json"))),
    "references": ("refs.json", lambda folder: read_references(folder / "refs.json")),
    "shards": ("model.safetensors.index.json", refuse_weights),
    "plan": ("config.json", lambda folder: read_json(folder / "config.json")),
}
LIBRARY_WORDS = ("Expected", "Object ", "byte", "$", "`", "msgspec", "truncated", "malformed")


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b'{"a": 1,\n  b}', "line 2, column 3 is not JSON"),
        (b"\xff\xfe{}", "UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"3", "must be "),
        (b"[" + b"1" * 5000 + b"]", "a number that is too long"),
    ],
    ids=["empty", "blank", "broken", "bytes", "deep", "another kind", "a long number"],
)
def test_a_file_that_is_none_is_told_plainly(
    tmp_path: Path, name: str, raw: bytes, said: str
) -> None:
    file, read = READERS[name]
    (tmp_path / file).write_bytes(raw)
    if name == "shards":
        (tmp_path / "model.safetensors").touch()
    with pytest.raises(UsageError) as caught:
        read(tmp_path)
    assert said in caught.value.message
    assert caught.value.hint
    for word in LIBRARY_WORDS:
        assert word not in caught.value.message.replace(str(tmp_path), "")


def test_a_wrong_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "refs.json").write_text(json.dumps([{"quantity": 3, "inputs": {}, "value": 1}]))
    with pytest.raises(UsageError, match=r"\[0\]\.quantity: must be text"):
        read_references(tmp_path / "refs.json")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": 1}}))
    with pytest.raises(UsageError, match=r"weight_map\.a: must be text"):
        tensors_of(tmp_path)


@pytest.mark.parametrize(
    ("raw", "kind", "said"),
    [
        (b"3", str, "role: must be text, not a number"),
        (b'"user"', bool, "role: must be true or false, not text"),
        (b'{"a": 1}', list[msgspec.Raw], "role: must be a list, not a mapping"),
    ],
)
def test_a_field_of_a_message_is_told_in_its_writers_words(
    raw: bytes, kind: type, said: str
) -> None:
    with pytest.raises(Refusal) as caught:
        typed(msgspec.Raw(raw), kind, "role")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "the body is empty"),
        (b'{"a": 1,\n  b}', "the body cannot be read: line 2, column 3 is not JSON"),
        (b'{"a": "\xff"}', "the body cannot be read: it is no text in UTF-8"),
        (b'{"a": NaN}', "the body is not JSON"),
        (rb'{"a": "\ud83d"}', f"the body cannot be read: {CUT_CHARACTER}"),
        (b"{" + b" " * 100_000 + b"b}", "the body is not JSON"),
        pytest.param(
            b"[" * 60_000, "the body cannot be read: it is nested too deeply", marks=STOPS_EARLY
        ),
        (b"1" * 5_000, "the body cannot be read: it holds a number that is too long"),
    ],
    ids=["empty", "broken", "bytes", "NaN", "half a character", "long", "deep", "a long number"],
)
def test_a_body_is_told_to_whoever_sent_it(raw: bytes, said: str) -> None:
    assert wrong_body(raw) == said
