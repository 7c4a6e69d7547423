"""From files of any kind to numbered samples: every row once, with its place in every error."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="transformers is not installed")

from _shared.data.kinds import kind_of
from _shared.protocol import Events, JobError
from tests.unit.workers.train.data.tokens import demo_tokenizer
from train.data import scan
from train.data.files import File, files_at
from train.data.index import BEGINS, indexed, mapped, read_facts
from train.data.plan import open_data
from train.index import work

Json = dict[str, Any]


def chat(question: str, answer: str = "yes") -> Json:
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    demo_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def run(tmp_path: Path, tokenizer_folder: str) -> Any:
    def run_job(*paths: Path, **changes: Any) -> Json:
        job = {
            "files": [{"path": str(path), "weight": None} for path in paths],
            "validation": [],
            "validation_share": 0.0,
            "cache": str(tmp_path / "cache"),
            "tokenizer": tokenizer_folder,
            "chat_template": None,
            "sequence_length": 200,
            "train_on": "answers",
            "prompt_loss_weight": 0.0,
            "too_long": "cut",
            "packing": False,
            "seed": 0,
            "batch_size": 4,
            "preview": 0,
        }
        return work({**job, **changes}, Events(None))

    return run_job


def texts_of(found: Json, *, epochs: int = 1) -> list[str]:
    """Of the whole training split, in the order of sample numbers."""
    source = open_data(found["data"], demo_tokenizer()).training
    texts = {}
    for step in range(-(-source.size * epochs // 4)):
        for number in range(4):
            batch = source.rows(step, [number])
            if batch.samples:
                ids = [*batch.ids_BT[0, :1].tolist(), *batch.targets_BT[0].tolist()]
                texts[batch.samples[0]] = demo_tokenizer().decode(ids)
    return [texts[number] for number in sorted(texts)]


ROWS = [{"text": text} for text in ("a", "b\u2028b", "c\u0085c", "d\x1ed", "e\\n")]
WANTED = [row["text"] + "<|end|>" for row in ROWS]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n \n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lines_are_cut_at_line_feeds_only(
    tmp_path: Path, run: Any, ending: str, mark: bytes
) -> None:
    path = tmp_path / "rows.jsonl"
    text = ending.join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    path.write_bytes(mark + text.encode())
    assert texts_of(run(path)) == WANTED
    path.write_bytes(mark + text.encode() + ending.encode())
    assert texts_of(run(path)) == WANTED


def test_packed_files_and_lists_are_read_as_lines_are(tmp_path: Path, run: Any) -> None:
    lines = write(tmp_path / "rows.jsonl", ROWS).read_bytes()
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "more.jsonl.bz2").write_bytes(bz2.compress(lines))
    (tmp_path / "list.json").write_text(json.dumps(ROWS, indent=2))
    (tmp_path / "nameless").write_bytes(lines)
    (tmp_path / "empty.json").write_text("[]")
    for name in ("rows.jsonl.gz", "more.jsonl.bz2", "list.json", "nameless"):
        assert texts_of(run(tmp_path / name)) == WANTED
    with pytest.raises(JobError, match=r"empty.json holds no samples"):
        run(tmp_path / "empty.json")


def test_a_long_list_is_read_in_blocks(tmp_path: Path, run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("_shared.data.listed.BLOCK_CHARACTERS", 7)
    path = tmp_path / "list.json"
    path.write_text("\ufeff [" + ",\n".join(json.dumps(row) for row in ROWS) + "]")
    assert texts_of(run(path)) == WANTED


def test_parquet_and_arrow_folders(tmp_path: Path, run: Any) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    rows = [{**chat(f"q{n}", f"a{n}"), "id": n, "tools": None} for n in range(3)]
    rows[0]["messages"][0]["name"] = "bob"  # null for all others in a column
    table = arrow.Table.from_pylist(rows)
    hub = tmp_path / "hub"
    (hub / "data").mkdir(parents=True)
    parquet.write_table(table, hub / "data" / "train-00000-of-00002.parquet")
    parquet.write_table(table.slice(1), hub / "data" / "train-00001-of-00002.parquet")
    parquet.write_table(table.slice(2), hub / "data" / "test-00000-of-00001.parquet")
    (hub / "README.md").write_text("# words")
    answers = [f"<|user|>q{n}<|end|><|assistant|>a{n}<|end|>" for n in (0, 1, 2, 1, 2)]
    found = run(hub, train_on="all")
    assert texts_of(found) == answers
    assert texts_of(run(Path(f"{hub}:test"), train_on="all")) == answers[2:3]
    saved = tmp_path / "saved" / "train"
    saved.mkdir(parents=True)
    (saved.parent / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    (saved / "state.json").write_text("{}")
    (saved / "dataset_info.json").write_text("{}")
    for split in ("train", "validation"):
        place = saved.parent / split / "data-00000-of-00001.arrow"
        place.parent.mkdir(exist_ok=True)
        with (
            arrow.OSFile(str(place), "wb") as sink,
            arrow.ipc.new_stream(sink, table.schema) as stream,
        ):
            stream.write_table(table)
    for folder in (saved.parent, saved):
        assert texts_of(run(folder, train_on="all")) == answers[:3]
    assert len(run(saved.parent)["validation"]) == 1
    broken = tmp_path / "broken.parquet"
    broken.write_bytes((hub / "data" / "train-00000-of-00002.parquet").read_bytes()[:-30])
    with pytest.raises(JobError, match=r"broken.parquet cannot be read"):
        run(broken)


def test_a_folder_of_lines_and_its_own_validation(tmp_path: Path, run: Any) -> None:
    folder = tmp_path / "set"
    write(folder / "train.jsonl", [chat("a"), chat("b")])
    write(folder / "validation.jsonl", [chat("c")])
    found = run(folder)
    data = open_data(found["data"], demo_tokenizer())
    assert (data.training.size, data.validation and data.validation.size) == (2, 1)
    assert data.validation is not None
    assert data.validation.rows(0, range(4)).samples == (2,)
    with pytest.raises(JobError, match="has no split tset") as caught:
        run(Path(f"{folder}:tset"))
    assert caught.value.hint == "it has train, validation"
    alone = run(Path(f"{folder}:validation"))
    assert open_data(alone["data"], demo_tokenizer()).training.size == 1


def test_plain_texts_are_documents_in_pieces(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "book.txt"
    lines = "".join(f"line {n} of it é\n" for n in range(300))
    path.write_text(f"\ufeff{lines}<|endoftext|>\nsecond\n<|endoftext|>\r\nthird")
    for packing in (False, True):
        found = run(path, packing=packing, sequence_length=64)
        (counts,) = found["training"]
        assert counts["cut"] == counts["unsupervised"] == 0
    pieces = texts_of(run(path, sequence_length=100))
    assert "".join(pieces) == f"{lines.rstrip()}<|end|>second<|end|>third<|end|>"


@given(st.text(alphabet="aé北\n 🙂", max_size=300), st.integers(64, 90))
@settings(deadline=None, max_examples=50)
def test_pieces_of_a_text_lie_end_to_end(text: str, piece_bytes: int) -> None:
    import tempfile

    raw = text.encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text"
        path.write_bytes(raw)
        found = list(scan.scan_text(path, "text", piece_bytes, with_checksums=True))
    begins = [int(begin) for some in found for begin in some.begins]
    ends = [*begins, len(raw)][1:]
    assert b"".join(raw[begin:end] for begin, end in zip(begins, ends, strict=True)) == raw
    for begin, end in zip(begins, ends, strict=True):
        assert 0 < end - begin <= piece_bytes
        raw[begin:end].decode()


def test_blocks_are_joined_at_every_place(tmp_path: Path, monkeypatch: Any) -> None:
    path = write(tmp_path / "rows.jsonl", [{"text": "é" * n} for n in range(40)])
    raw = path.read_bytes()
    begins = [0, *(index + 1 for index, byte in enumerate(raw) if byte == 10)][:-1]
    for block in (1, 7, 64, 1 << 20):
        monkeypatch.setattr(scan, "BLOCK_BYTES", block)
        found = list(scan.scan_lines(path, "rows", with_checksums=True))
        assert [int(begin) for some in found for begin in some.begins] == begins
        assert b"".join(some.block for some in found) == raw
        for some in found:
            assert some.checksums is not None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([b'{"text": "a"}', b"{oops}"], r":2: no JSON"),
        ([b'{"text": "a"}', b"", b"[1, 2"], r":3: no JSON"),
        ([b'{"text": "a"}', b"12"], r":2: a row is an object"),
        ([b'{"text": "a"}', b'{"text": "\xff"}'], r":2: no UTF-8"),
        ([b'{"text": "a"}', b'{"messages": []}'], r":2: no text, unlike the rows before"),
        ([b'{"messages": [{"role": "user", "content": "a"}]}', b'{"messages": []}'], r":2: mess"),
        ([b'{"text": "a"}', b'{"text": "\\ud800"}'], r":2: half of a surrogate"),
        ([b'{"a": 1}'], r":1: no known form"),
        ([b'{"chosen": "a", "rejected": "b"}'], r":1: it holds preference pairs"),
        ([b"[" * 100_000], r":1: no JSON"),
        ([b'{"text": "a"}', b'{"text": ' + b"1" * 5000 + b"}"], r":2: "),
        ([b"", b" "], "holds no samples"),
        ([b""], "holds no samples"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, run: Any, lines: list[bytes], said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(JobError, match=said):
        run(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", b"a,b", ".csv is not read"),
        ("rows.jsonl.zst", b"", ".zst is not read"),
        ("rows.jsonl.gz", gzip.compress(b'{"text": "a"}' * 99, mtime=0)[:-9], "cannot be unpacked"),
        ("rows.jsonl.gz", b"no gzip", "cannot be unpacked"),
        ("rows.xz", b"no xz", "cannot be unpacked"),
        ("weights", b"\0\1\2", "neither text nor"),
        ("rows.json", b'[{"text": "a"}, {', "row 2: no JSON"),
        ("rows.json", b'[{"text": "a"}, \xff]', "no JSON"),
        ("book.txt", b"abc\xff", "no UTF-8 at byte 3"),
    ],
)
def test_what_is_no_data_is_refused(
    tmp_path: Path, run: Any, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(JobError, match=said):
        run(path)


def test_paths_without_data_are_refused(tmp_path: Path, run: Any) -> None:
    with pytest.raises(JobError, match="no training data at"):
        run(tmp_path / "absent.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(JobError, match="holds no data"):
        run(tmp_path / "folder")


@given(st.binary(max_size=400), st.sampled_from([".jsonl", ".json", ".txt", "", ".jsonl.gz"]))
@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_bytes_end_in_a_traceback(tmp_path: Path, run: Any, raw: bytes, suffix: str) -> None:
    path = tmp_path / f"bytes{suffix}"
    path.write_bytes(raw)
    try:
        found = run(path)
        data = open_data(found["data"], demo_tokenizer())
        data.training.rows(0, range(4))
    except JobError:
        return


lines_like = st.lists(
    st.sampled_from(
        [
            b'{"text": "a"}',
            b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant"}]}',
            b'{"messages": [{"role": "assistant", "content": "q"}]}',
            b'{"prompt": "a", "completion": "b"}',
            b"\xef\xbb\xbf",
            b"\r",
            b" ",
            b"{}",
            b'"a"',
            b"\xff",
            b"null",
            b'{"text": "\xe2\x80\xa8"}',
        ]
    ),
    max_size=6,
)


@given(lines_like, st.sampled_from([b"\n", b"\r\n", b"\r"]))
@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_lines_end_in_a_traceback(
    tmp_path: Path, run: Any, lines: list[bytes], ending: bytes
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ending.join(lines))
    try:
        run(path)
    except JobError:
        return


def test_a_split_keeps_its_rows_when_the_file_grows(tmp_path: Path, run: Any) -> None:
    rows = [{"text": f"row {n}"} for n in range(400)]
    path = write(tmp_path / "rows.jsonl", rows[:200])

    def held_out() -> set[int]:
        found = run(path, validation_share=0.2)
        data = open_data(found["data"], demo_tokenizer())
        assert data.validation is not None
        seen: set[int] = set()
        step = 0
        while not data.validation.is_over(step):
            seen.update(data.validation.rows(step, range(4)).samples)
            step += 1
        assert data.training.size + len(seen) == path.read_bytes().count(b"\n")
        return seen

    before = held_out()
    assert 20 < len(before) < 60
    write(path, rows)
    assert {number for number in held_out() if number < 200} == before
    with pytest.raises(JobError, match="no sample is left on this side"):
        run(write(path, rows[:1]), validation_share=0.000001)


def test_a_file_that_changes_meanwhile_is_found_out(
    tmp_path: Path, run: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("train.data.survey.FULL_BYTES", 10)
    path = write(tmp_path / "rows.jsonl", [{"text": f"row {n}"} for n in range(40)])
    source = open_data(run(path)["data"], demo_tokenizer()).training
    source.rows(0, range(4))
    write(path, [{"text": f"raw {n}"} for n in range(40)])
    os.utime(path, ns=(1, 1))
    with pytest.raises(JobError, match="has changed since it was indexed"):
        for step in range(1, 4):
            source.rows(step, range(4))
    path.unlink()
    with pytest.raises(JobError, match="cannot be read any more"):
        for step in range(4, 9):
            source.rows(step, range(4))


def test_an_index_is_made_once_and_anew_for_other_content(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"text": "a"}] * 3)
    cache = tmp_path / "cache"
    made: list[str] = []

    def index(share: float = 0.0) -> Path:
        return indexed(
            File(path, kind_of(path)),
            cache,
            piece_bytes=64,
            report=lambda stage, *_: made.append(stage),
            share=share,
        )

    folder = index()
    assert index() == folder
    assert len(made) == 1
    assert mapped(folder / BEGINS, np.int64).tolist() == [0, 14, 28, 42]
    index(0.5)
    assert len(made) == 2  # now with checksums
    index(0.1)
    assert len(made) == 2
    (folder / "index.json").write_text("{}")
    index()
    assert read_facts(folder).samples == 3
    write(path, [{"text": "b"}] * 4)
    assert index() != folder


def test_two_at_once_make_one_index(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"text": "a"}] * 3)
    packed = path.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    made: list[str] = []
    found: list[Path] = []

    def index() -> None:
        folder = indexed(
            File(packed, kind_of(packed)),
            tmp_path / "cache",
            piece_bytes=64,
            report=lambda stage, *_: made.append(stage),
        )
        found.append(folder)

    threads = [threading.Thread(target=index) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(made) == 2
    assert not list((tmp_path / "cache").glob("*.tmp"))


def test_nothing_is_lost_silently(tmp_path: Path, run: Any) -> None:
    rows = [chat("q", "word " * n) for n in range(1, 6)]
    rows.append({"messages": [{"role": "user", "content": "alone"}]})
    path = write(tmp_path / "rows.jsonl", rows)
    cut = run(path, sequence_length=12)
    (counts,) = cut["training"]
    assert counts["exact"]
    assert counts["samples"] == 6
    assert counts["unsupervised"] == 1
    assert counts["cut"] > 0
    text = "\n".join(cut["notices"])
    assert f"{counts['cut']} samples longer than 12 tokens: cut, {counts['cut_tokens']}" in text
    assert "1 sample without a token to learn" in text
    assert "left out" in "\n".join(run(path, sequence_length=12, too_long="drop")["notices"])
    with pytest.raises(JobError, match=r":\d: it has \d+ tokens"):
        run(path, sequence_length=12, too_long="error")
    only = write(tmp_path / "only.jsonl", rows[-1:])
    with pytest.raises(JobError, match="no sample has a token to learn"):
        run(only)
    source = open_data(cut["data"], demo_tokenizer()).training
    for step in range(3):
        source.rows(step, [0, 1])
        source.rows(step, [2, 3])
    used = source.used()
    assert (used.samples, used.cut, used.tokens) == (12, 2 * counts["cut"], 2 * counts["tokens"])


def test_large_data_are_estimated_and_that_is_said(
    tmp_path: Path, run: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("train.data.survey.FULL_BYTES", 10)
    monkeypatch.setattr("train.data.survey.SAMPLED_ROWS", 20)
    path = write(tmp_path / "rows.jsonl", [{"text": f"row {n}"} for n in range(400)])
    found = run(path)
    assert not found["training"][0]["exact"]
    assert "400 samples, about" in found["notices"][0]
    assert "(estimated from 20 of them)" in found["notices"][0]
    assert found["training"][0]["samples"] == 400
    assert found["data"]["training_tokens"] is None
    assert len(texts_of(found)) == 400


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("too_long", ["cut", "drop"])
def test_kept_tokens_are_those_that_would_be_made(
    tmp_path: Path, run: Any, monkeypatch: Any, packing: bool, too_long: str
) -> None:
    chats = write(tmp_path / "chats.jsonl", [chat("q", "word " * n) for n in range(9)])
    texts = write(tmp_path / "texts.jsonl", [{"text": "so " * n} for n in range(1, 17)])
    how = {
        "packing": packing,
        "too_long": too_long,
        "sequence_length": 24,
        "validation_share": 0.3,
        "prompt_loss_weight": 0.1,
    }
    kept = run(chats, texts, **how)
    assert kept["data"]["training_tokens"] is not None
    assert kept["data"]["validation_tokens"] is not None
    assert run(chats, texts, **how) == kept
    monkeypatch.setattr("train.data.survey.FULL_BYTES", 10)
    made = run(chats, texts, **how)
    assert made["data"]["training_tokens"] is None
    assert [counts | {"exact": True} for counts in made["training"]] == kept["training"]
    one = open_data(kept["data"], demo_tokenizer())
    other = open_data(made["data"], demo_tokenizer())
    for ours, theirs in zip(one, other, strict=True):
        assert ours is not None
        assert theirs is not None
        for step in range(4):
            batch = ours.rows(step, range(4))
            same = theirs.rows(step, range(4))
            assert batch[4:] == same[4:]
            for ours_BT, theirs_BT in zip(batch[:4], same[:4], strict=True):
                assert ours_BT.equal(theirs_BT)
        assert ours.used() == theirs.used()
        assert ours.state() == theirs.state()


def test_weights_are_shares_of_the_stream(tmp_path: Path, run: Any) -> None:
    one = write(tmp_path / "one.jsonl", [{"text": "a"}] * 3)
    two = write(tmp_path / "two.jsonl", [{"text": "b"}] * 3)
    files = [{"path": str(one), "weight": 3.0}, {"path": str(two), "weight": 1.0}]
    found = run(files=files)
    assert f"{one} 75.0%, {two} 25.0%" in found["notices"][-1]
    source = open_data(found["data"], demo_tokenizer()).training
    seen = [number for step in range(250) for number in source.rows(step, range(4)).samples]
    assert sum(number < 3 for number in seen) == 750
    files[1]["weight"] = None
    with pytest.raises(JobError, match="some --data have a weight"):
        run(files=files)


def test_a_preview_shows_what_is_trained(tmp_path: Path, run: Any) -> None:
    path = write(tmp_path / "rows.jsonl", [chat("q")])
    assert run(path, preview=3)["preview"] == [
        [("<|user|>q<|end|><|assistant|>", False), ("yes<|end|>", True)]
    ]


def test_without_a_tokenizer_rows_are_only_indexed(tmp_path: Path, run: Any) -> None:
    path = write(tmp_path / "rows.jsonl", [chat("q")])
    found = run(path, tokenizer=None)
    assert found["notices"] == []
    assert open_data(found["data"], demo_tokenizer()).training.size == 1


def test_splits_are_named_as_the_hub_names_them(tmp_path: Path) -> None:
    for name in (
        "data/train-00000-of-00001.jsonl",
        "data/test_sft-00000-of-00001.jsonl",
        "validation/rows.jsonl",
        "dev.jsonl",
        "notes.md",
        ".hidden/train.jsonl",
    ):
        write(tmp_path / name, [{"text": "a"}])
    found = files_at(tmp_path)
    assert {split: len(files) for split, files in found.items()} == {
        "train": 1,
        "test_sft": 1,
        "validation": 2,
    }


def test_a_template_with_a_date_says_so(tmp_path: Path, run: Any) -> None:
    path = write(tmp_path / "rows.jsonl", [chat("q")])
    template = "{{ strftime_now('%Y') }}" + demo_tokenizer().chat_template
    assert "writes a date: it is 26 Jul 2024" in run(path, chat_template=template)["notices"][-1]


def test_a_tokenizer_that_cannot_be_read_is_one_line(tmp_path: Path, run: Any) -> None:
    path = write(tmp_path / "rows.jsonl", [chat("q")])
    (tmp_path / "no tokenizer").mkdir()
    with pytest.raises(JobError, match="cannot be read"):
        run(path, tokenizer=str(tmp_path / "no tokenizer"))


def test_a_tokenizer_is_made_of_the_data_or_the_bad_row_is_named(tmp_path: Path, run: Any) -> None:
    path = write(tmp_path / "rows.jsonl", [chat("q"), chat("r")])
    asked = {"tokenizer": None, "tokenizer_output": str(tmp_path / "made"), "vocab_size": 300}
    found = run(path, **asked)
    assert found["training"][0]["samples"] == 2
    assert run(path, **asked)["tokenizer"] == found["tokenizer"]
    write(path, [chat("q"), {"messages": []}])
    with pytest.raises(JobError, match=r"rows.jsonl:2: messages is empty"):
        run(path, **asked)
