"""An importance matrix of the user's own is looked at before any work."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.quantize.matrix_file import check_matrix_file

WHOLE = struct.pack("<i", 1) + struct.pack("<i", 3) + b"a.w" + struct.pack("<ii2f", 4, 2, 1.0, 2.0)


def test_a_whole_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "imatrix.dat"
    path.write_bytes(WHOLE)
    check_matrix_file(path)


@given(kept=st.integers(min_value=0, max_value=len(WHOLE) - 1))
def test_a_cut_one_is_refused_wherever_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory,
    kept: int,
) -> None:
    path = tmp_path_factory.mktemp("cut") / "imatrix.dat"
    path.write_bytes(WHOLE[:kept])
    with pytest.raises(UsageError, match="is no importance matrix"):
        check_matrix_file(path)


@given(content=st.binary(max_size=64))
def test_no_bytes_are_our_bug(
    tmp_path_factory: pytest.TempPathFactory,
    content: bytes,
) -> None:
    path = tmp_path_factory.mktemp("junk") / "imatrix.dat"
    path.write_bytes(content)
    try:
        check_matrix_file(path)
    except UsageError as error:
        assert str(path) in str(error)
