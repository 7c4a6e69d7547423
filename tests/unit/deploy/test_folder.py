"""What is written into a folder that others use too."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.deploy.difference import differences
from llmops_cli.deploy.folder import LIST, digest_of, first_of, write_rendered
from llmops_cli.runtime.files import to_json

FILES = {"a/x.yaml": b"x: 1\n", "b.yaml": b"b: 1\n"}


def test_a_second_time_nothing_is_written(tmp_path: Path) -> None:
    first = write_rendered(tmp_path, FILES, force=False)
    second = write_rendered(tmp_path, FILES, force=False)
    assert len(first.written) == 2
    assert second.written == ()
    assert second.unchanged == 2


def test_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("mine")
    done = write_rendered(tmp_path, FILES, force=False)
    assert done.kept == ("README",)
    assert (tmp_path / "README").read_text() == "mine"


def test_what_was_changed_by_hand_is_told_before_anything_is_written(tmp_path: Path) -> None:
    write_rendered(tmp_path, FILES, force=False)
    (tmp_path / "b.yaml").write_text("b: 2\n")
    with pytest.raises(UsageError, match=r"changed by hand: b\.yaml"):
        write_rendered(tmp_path, {**FILES, "a/x.yaml": b"x: 3\n", "b.yaml": b"b: 4\n"}, force=False)
    assert (tmp_path / "a/x.yaml").read_bytes() == b"x: 1\n"
    write_rendered(tmp_path, FILES, force=True)
    assert (tmp_path / "b.yaml").read_bytes() == b"b: 1\n"


def test_a_file_of_theirs_in_our_place_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("mine")
    with pytest.raises(UsageError, match="changed by hand"):
        write_rendered(tmp_path, FILES, force=False)


def test_what_is_rendered_no_more_goes(tmp_path: Path) -> None:
    write_rendered(tmp_path, FILES, force=False)
    done = write_rendered(tmp_path, {"b.yaml": b"b: 1\n"}, force=False)
    assert done.removed == ("a/x.yaml",)
    assert not (tmp_path / "a/x.yaml").exists()


def test_a_damaged_list_is_told(tmp_path: Path) -> None:
    write_rendered(tmp_path, FILES, force=False)
    (tmp_path / LIST).write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        write_rendered(tmp_path, FILES, force=False)
    write_rendered(tmp_path, FILES, force=True)
    assert write_rendered(tmp_path, FILES, force=False).unchanged == 2


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that is full after so much."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_a_full_disk_broke_off_is_nobody_elses(tmp_path: Path) -> None:
    """What was written then is ours to write over, and is nowhere half."""
    write_rendered(tmp_path, {"a.yaml": b"a: 1\n", "z.yaml": b"z: 1\n"}, force=False)
    large = {"a.yaml": b"a: 2\n", "new/b.yaml": b"b: 2\n", "z.yaml": b"z" * 5000}
    with files_of_at_most(2000), pytest.raises(EnvironmentMissing, match="cannot write"):
        write_rendered(tmp_path, large, force=False)
    assert (tmp_path / "a.yaml").read_bytes() == b"a: 2\n"
    assert (tmp_path / "z.yaml").read_bytes() == b"z: 1\n"
    with files_of_at_most(2000), pytest.raises(EnvironmentMissing):
        write_rendered(tmp_path, large, force=False)
    done = write_rendered(tmp_path, {"a.yaml": b"a: 3\n", "z.yaml": b"z: 1\n"}, force=False)
    assert done.written == ("a.yaml",)
    assert done.removed == ("new/b.yaml",)
    assert done.kept == ()
    (tmp_path / "a.yaml").write_bytes(b"a: 2\n")  # what was ours once, and is somebody's now
    with pytest.raises(UsageError, match="changed by hand"):
        write_rendered(tmp_path, {"a.yaml": b"a: 4\n"}, force=False)


def test_what_a_killed_one_left_is_cleared_away(tmp_path: Path) -> None:
    write_rendered(tmp_path, FILES, force=False)
    (tmp_path / "a" / ".x.yaml.4711.tmp").write_text("half")
    (tmp_path / ".mine.4711.tmp").write_text("mine")
    assert write_rendered(tmp_path, FILES, force=False).kept == (".mine.4711.tmp",)
    assert not (tmp_path / "a" / ".x.yaml.4711.tmp").exists()


def test_two_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    """A mixture of both would be neither, and somebody's by its list."""
    sets = [{f"f{number}.yaml": b"%d\n" % mine for number in range(4)} for mine in range(3)]
    with ThreadPoolExecutor(len(sets)) as pool:
        list(pool.map(lambda files: write_rendered(tmp_path, files, force=False), sets))
    assert len({path.read_bytes() for path in tmp_path.glob("f*.yaml")}) == 1
    assert write_rendered(tmp_path, sets[0], force=False).kept == ()


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("name", ["../mine", "a/../../mine", "/{}/mine", "link/mine"])
def test_a_list_that_came_with_a_folder_removes_nothing_outside(
    name: str,
    force: bool,
    tmp_path: Path,
) -> None:
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    listed = {name.format(str(tmp_path).strip("/")): digest_of(b"mine")}
    (folder / LIST).write_bytes(to_json({"schema": "llmops.deploy-files/1", "files": listed}))
    with contextlib.suppress(UsageError):
        write_rendered(folder, FILES, force=force)
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("link", ["a", "b.yaml"])
def test_nothing_is_written_through_a_link_out_of_the_folder(
    link: str, force: bool, tmp_path: Path
) -> None:
    """The second rendering called its own list damaged, as that named what is elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mine = elsewhere / "x.yaml"
    mine.write_bytes(b"mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / link).symlink_to(elsewhere if link == "a" else mine)
    with pytest.raises(UsageError, match="leads out of"):
        write_rendered(folder, FILES, force=force)
    assert mine.read_bytes() == b"mine"


def test_a_link_within_the_folder_is_theirs_to_have(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "a").symlink_to("real")
    for unchanged in (0, 2):
        assert write_rendered(tmp_path, FILES, force=False).unchanged == unchanged


def test_of_many_names_some_are_told() -> None:
    assert first_of(["a", "b"]) == "a, b"
    assert first_of([str(number) for number in range(11)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 3 more"


@pytest.mark.parametrize("theirs", ["a", "b.yaml/mine"])
def test_what_stands_in_the_way_is_told_before_anything_is_written(
    theirs: str, tmp_path: Path
) -> None:
    path = tmp_path / theirs
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(UsageError, match="would be a"):
        write_rendered(tmp_path, FILES, force=True)
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]


def test_a_difference_is_told_of_any_two_files(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "a").mkdir(parents=True)
    (old / "a" / "x").write_text("1\n")
    new.mkdir()
    (new / "a").write_text("2\n")
    (new / "empty").write_text("")
    lines = list(differences(old, new))
    assert {"-1", "+2", f"+++ {new / 'empty'}"} <= set(lines)
    assert not list(differences(old, old))
