"""A journal that a kill cut anywhere loses the line that it tore, and nothing else."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.generate.asking import RowAnswer
from llmops_cli.generate.journal import Journal

ROWS = 12


def journal(path: Path, *, key: str = "k", forgets_errors: bool = False) -> Journal:
    return Journal(path, key=key, rows=ROWS, forgets_errors=forgets_errors)


def answer(number: int, *, error: str = "", text: str = "x") -> RowAnswer:
    line = f'{{"number":{number},"text":"{text}"}}'.encode()
    return RowAnswer(line, 3, 2, error)


@settings(max_examples=60)
@given(st.permutations(range(ROWS)), st.integers(0, 2000), st.integers(0, 6000))
def test_a_cut_loses_the_torn_line_alone(order: list[int], cut: int, size: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        with journal(path) as first:
            for number in order:
                first.append(number, answer(number, text="y" * (size % (number + 1) * 700)))
        raw = path.read_bytes()[: len(path.read_bytes()) - cut]
        path.write_bytes(raw)
        whole = max(raw.count(b"\n") - 1, 0)
        kept = order[:whole]
        with journal(path) as second:
            assert [number for number in order if second.has(number)] == kept
            assert second.before.answered == len(kept)
            for number in order[whole:]:
                second.append(number, answer(number))
            assert second.is_whole
        with journal(path) as third:
            assert third.is_whole
            for number in range(ROWS):
                line = third.line(number)
                assert line is not None
                assert line.startswith(b'{"number":%d,' % number)


def test_the_last_line_of_a_row_counts(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with journal(path) as first:
        first.append(0, answer(0, error="http 500"))
        first.append(1, answer(1, error="http 500"))
    with journal(path, forgets_errors=True) as second:
        assert not second.has(0)
        second.append(0, answer(0))
    with journal(path) as third:
        assert third.before.answered == 1
        assert third.before.errors == {"http 500": 1}
        assert third.before.input_tokens == 6


@pytest.mark.parametrize("number", [-1, ROWS, 2**40])
def test_a_row_that_the_batch_does_not_have_is_nobodys_answer(tmp_path: Path, number: int) -> None:
    path = tmp_path / "out.jsonl.journal"
    with journal(path) as first:
        first.append(0, answer(0))
    with path.open("ab") as file:
        file.write(b'{"number":%d,"line":{"answer":"of another"}}\n' % number)
    with journal(path) as second:
        assert [each for each in range(ROWS) if second.has(each)] == [0]
        assert (second.torn_lines, second.before.answered) == (1, 1)


def test_other_rows_journals_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with journal(path) as first:
        first.append(0, answer(0))
    with pytest.raises(UsageError, match="answers to other rows"), journal(path, key="other"):
        pass
    path.write_text("notes\n")
    with pytest.raises(UsageError, match="no journal"), journal(path):
        pass
    assert path.read_text() == "notes\n"


def test_rows_of_a_model_whose_files_are_others_now_are_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with journal(path) as first:
        first.require_model("sha256:one")
        first.append(0, answer(0))
    with journal(path) as second:
        assert second.torn_lines == 0
        second.require_model("sha256:one")
        with pytest.raises(UsageError, match="files are others now"):
            second.require_model("sha256:two")
        second.require_model("")  # a server elsewhere, of which nothing is known


def test_a_journal_without_an_answer_takes_any_model(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with journal(path) as first:
        first.require_model("sha256:one")
        first.append(0, answer(0, error="timeout"))
    with journal(path) as second:
        second.require_model("sha256:two")
        second.append(1, answer(1))
    with journal(path) as third, pytest.raises(UsageError, match="files are others now"):
        third.require_model("sha256:one")


def test_one_without_rows_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with journal(path):
        pass
    assert not path.exists()
