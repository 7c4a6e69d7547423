"""A GGUF file is believed as far as its size bears it out; a hostile one costs an error's line."""

from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.models.gguf.header import read_header
from llmops_cli.models.gguf.type_names import file_type_name, guessed_name
from tests.gguf_bytes import STRING, Tensor, array, gguf, key, text

HUGE = 1 << 60
MANY = {"general.architecture": "llama", "tokens": array(STRING, 3, text("a") * 3)}

WRONG = [
    (b"", "is no GGUF file"),
    (b"GGU", "is no GGUF file"),
    (b"GGUF", "it ends within its list"),
    (gguf()[:40], "it says that it has 1 tensors"),
    (gguf()[:60], "it ends within its list"),
    (gguf()[:-1], "it is cut: 159 of at least 160 bytes, which blk.0.attn_q.weight needs"),
    (gguf(version=1), "version 1, and only"),
    (gguf(version=3 << 24), "big-endian"),
    (gguf(key_count=HUGE), "it says that it has 1,152,921,504,606,846,976 keys"),
    (gguf(tensor_count=HUGE), "it says that it has 1,152,921,504,606,846,976 tensors"),
    (gguf(key_count=7), "a name of"),
    (gguf({"a": array(STRING, HUGE)}), "an array of 1,152,921,504,606,846,976 texts"),
    (gguf({"a": array(0, HUGE)}), "it ends within its list"),
    (gguf({"a": array(9, 1)}), "an array of arrays"),
    (gguf({"a": array(77, 1)}), "a value of type 77"),
    (gguf({"a": struct.pack("<IQ", STRING, HUGE)}), "it ends within its list"),
    (gguf({"a": struct.pack("<I", 99)}), "a value of type 99"),
    (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 40) + bytes(99), "a name of"),
    (gguf({"general.alignment": 0}), "its alignment is 0"),
    (gguf({"general.alignment": 48}), "its alignment is 48"),
    (gguf({"general.alignment": "x\n"}), r"its alignment is x\?"),
    (gguf({}, [Tensor("a", (1, 1, 1, 1, 1))]), "5 dimensions"),
    (gguf({}, [Tensor("a", (HUGE, HUGE))]), "values"),
    (gguf({}, [Tensor("a", (1 << 40,))]), "it is cut"),
    (gguf({}, [Tensor("a", (33,), 2)]), "tensor a is Q4_0 with rows of 33 values"),
    (gguf({}, [Tensor("a", offset=HUGE, size_bytes=-HUGE)]), "it is cut"),
    (gguf({}, [Tensor("a"), Tensor("a")]), "two of its tensors have one name"),
]


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    return path


def test_keys_and_tensors_are_found(tmp_path: Path) -> None:
    tensors = [
        Tensor("token_embd.weight", (256, 3), 12, 0, 432),
        Tensor("blk.0.attn_norm.weight", (8,), 0, 448, 32),
        Tensor("blk.0.odd", (64, 2), 139, 480, 96),
    ]
    keys = {**MANY, "general.file_type": 145, "long": "x" * 5000}
    header = read_header(written(tmp_path, gguf(keys, tensors)))
    assert header.keys == {"general.architecture": "llama", "general.file_type": 145}
    assert header.text("general.architecture") == "llama"
    assert header.number("general.architecture") is header.text("general.file_type") is None
    found = [(each.name, each.type_name, each.size_bytes) for each in header.tensors]
    assert found == [
        ("token_embd.weight", "Q4_K", 432),
        ("blk.0.attn_norm.weight", "F32", 32),
        ("blk.0.odd", "type 139", 96),  # as far as the file goes on
    ]
    assert [each.is_quantized for each in header.tensors] == [True, False, True]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (15, "Q4_K_M"),
        (1025, None),
        (145, None),
        (-1, None),
        (None, None),
        ("15", None),
        (True, None),
        (15.0, None),
        (1 << 63, None),
    ],
)
def test_file_types_by_name(number: object, name: str | None) -> None:
    assert file_type_name(number) == name
    assert guessed_name(number) == ("F16" if number == 1025 else None)


@pytest.mark.parametrize(("content", "said"), WRONG, ids=map(str, range(len(WRONG))))
def test_what_cannot_be_true_is_told_in_a_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(UsageError, match=said) as caught:
        read_header(path)
    assert "\n" not in caught.value.message


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    whole = gguf({"a": 1, "b": 2})
    with pytest.raises(UsageError, match="the key a is there twice"):
        read_header(written(tmp_path, whole.replace(key("b", 2), key("a", 2))))


def test_names_out_of_a_file_stay_in_their_line(tmp_path: Path) -> None:
    path = written(tmp_path, gguf({}, [Tensor("a\x1b[2J\n" * 20, (33,), 2)]))
    with pytest.raises(UsageError) as caught:
        read_header(path)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200 + len(str(path))


def test_a_hostile_file_takes_neither_memory_nor_time(tmp_path: Path) -> None:
    """Half a million empty texts, announced as eight: the array ends where the file does."""
    content = gguf({"a": array(STRING, 1 << 19, bytes(8 << 19)), "b": array(STRING, 1 << 23)})
    path = written(tmp_path, content)
    tracemalloc.start()
    begun_s = time.process_time()
    with pytest.raises(UsageError, match="an array of 8,388,608 texts"):
        read_header(path)
    assert time.process_time() - begun_s < 10
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(4, 300), noise=st.binary(min_size=1, max_size=12))
def test_a_damaged_head_is_read_or_refused(tmp_path: Path, place: int, noise: bytes) -> None:
    whole = gguf({**MANY, "general.file_type": 2}, [Tensor("a"), Tensor("b", offset=32)])
    damaged = whole[:place] + noise + whole[place + len(noise) :]
    try:
        header = read_header(written(tmp_path, damaged))
    except UsageError as error:
        assert "\n" not in error.message
    else:
        assert all(each.begin + each.size_bytes <= len(damaged) for each in header.tensors)
