"""Files are whole or absent."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.runtime.digests import digest_path
from llmops_cli.runtime.files import claimed, copy_folder, require_space, write_atomic, written
from llmops_cli.runtime.runs import make_run_dir


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    write_atomic(target, b"old")
    target.with_name("blocked").mkdir()
    with pytest.raises(UsageError):
        write_atomic(target.with_name("blocked"), b"new")  # a folder cannot be replaced by a file
    assert target.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "blocked"}


def test_a_link_and_a_pipe_stay_what_they_are(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    link = tmp_path / "link.json"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomic(pipe, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


def test_what_is_written_by_name_stays_what_it_is_too(tmp_path: Path) -> None:
    real = tmp_path / "real.csv"
    link = tmp_path / "link.csv"
    link.symlink_to(real)
    with written(link) as place:
        place.write_bytes(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    with pytest.raises(ValueError, match="half"), written(link) as place:
        place.write_bytes(b"ne")
        raise ValueError("half")
    assert real.read_bytes() == b"new"

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "pipe-link").symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with written(tmp_path / "pipe-link") as place:
        place.write_bytes(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()

    with pytest.raises(UsageError, match="is a folder"), written(tmp_path):
        pass
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"real.csv", "link.csv", "pipe", "pipe-link"}


def test_a_pipe_without_a_path_is_written_to() -> None:
    """As /dev/stdout is in `llmops ... -o /dev/stdout | less`."""
    reader, writer = os.pipe()
    write_atomic(Path(f"/dev/fd/{writer}"), b"one")
    with written(Path(f"/dev/fd/{writer}")) as place:
        place.write_bytes(b"two")
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        assert told.read() == b"onetwo"


def test_run_folders_never_collide(tmp_path: Path) -> None:
    made = {make_run_dir("bench", "a model/with: odd*name", base=tmp_path) for _ in range(5)}
    assert len(made) == 5
    assert all(path.is_dir() and " " not in path.name and "/" not in path.name for path in made)


def test_digest_sees_names_and_content_but_not_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    before = digest_path(tmp_path)
    (tmp_path / ".lock").write_text("x")
    assert digest_path(tmp_path) == before
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    assert digest_path(tmp_path) != before


def test_too_little_space_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissing, match="are free"):
        require_space(tmp_path / "not" / "there", 1 << 60, what="a test")


INSIDE = """
import os
import subprocess
import sys
import sys
from pathlib import Path
from llmops_cli.runtime.files import locked

place = Path(sys.argv[1])
for _ in range(50):
    with locked(place):
        os.close(os.open(place, os.O_CREAT | os.O_EXCL))  # fails if another is inside
        place.unlink()
"""


def test_a_lock_lets_one_in_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INSIDE, str(tmp_path / "thing")]
    crowd = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=60) for process in crowd] == [0, 0, 0]
    assert not list(tmp_path.iterdir())


def test_what_is_claimed_is_refused_to_others_with_the_owner(tmp_path: Path) -> None:
    owner = f"in use by process {os.getpid()} on"
    with claimed(tmp_path / "run"):
        second = claimed(tmp_path / "run")
        with pytest.raises(UsageError, match=owner):
            second.__enter__()
    with claimed(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_path_through_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for target in (file / "report.json", file / "deep" / "report.json"):
        with pytest.raises(EnvironmentMissing, match=f"{file} is no folder"):
            write_atomic(target, b"{}")
        with pytest.raises(EnvironmentMissing, match=f"{file} is no folder"), claimed(target):
            pass


def test_of_a_folder_that_does_not_fit_nothing_is_copied(tmp_path: Path) -> None:
    """shutil's own error has the words of each file, and no number."""
    source = tmp_path / "source"
    (source / "a").mkdir(parents=True)
    for number in range(200):
        (source / "a" / f"{number}").write_bytes(b"x" * 5000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(EnvironmentMissing, match=r"cannot write .*target: File too large$"):
            copy_folder(source, tmp_path / "target", leaving=shutil.ignore_patterns(".*"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "target").exists()
    copy_folder(source, tmp_path / "target", leaving=shutil.ignore_patterns("1*"))
    assert len(list((tmp_path / "target" / "a").iterdir())) == 200 - 111
