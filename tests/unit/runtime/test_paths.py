"""Whose folders the toolkit keeps its things in."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.progress import Silent
from llmops_cli.runtime.env import create_env, find_env, known_environments, list_envs
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.paths import at_home, cache_dir, end_of


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user who is in no list of users, without HOME."""

    def nobody(number: int) -> pwd.struct_passwd:
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)


@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EnvironmentMissing, match="no home folder") as caught:
        cache_dir()
    assert caught.value.hint == "set HOME, or XDG_CACHE_HOME"
    assert at_home("~/model") == Path("~/model")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(EnvironmentMissing, match=f"{file} is no folder"):
        write_atomic(file / "report.json", b"{}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(EnvironmentMissing, match="is missing"):
        find_env("vllm")


@pytest.mark.parametrize("is_closed_above", [False, True])
def test_an_environment_that_its_maker_keeps_to_itself_is_told_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_closed_above: bool
) -> None:
    """As in a cache that several users share; `doctor` goes on with the others."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    own = tmp_path / "config" / "llmops" / "envs"
    own.mkdir(parents=True)
    for name in known_environments():
        (own / f"{name}.txt").write_text("#: modules json\n")  # which is quickly imported
    folder = known_environments()["vllm"].folder
    folder.mkdir(parents=True)
    stat = os.stat

    def refused(path: str | Path, **options: Any) -> os.stat_result:
        closed = folder.parent if is_closed_above else folder
        if closed in Path(path).parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, **options)

    before = sorted(folder.parent.iterdir())
    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(EnvironmentMissing, match="is its maker's alone") as caught:
        find_env("vllm")
    assert "chmod" in (caught.value.hint or "")
    if not is_closed_above:
        with pytest.raises(EnvironmentMissing, match="is its maker's alone"):
            create_env("vllm", progress=Silent())
    problems = {env.name: env.problem for env in list_envs()}
    assert "cannot be read" in (problems["vllm"] or "")
    monkeypatch.undo()
    assert set(before) <= set(folder.parent.iterdir())


def test_somebody_elses_home_is_a_name_like_any_other() -> None:
    assert at_home("~nobody-of-this-name/model") == Path("~nobody-of-this-name/model")
    assert at_home("~/model") == Path(os.environ["HOME"]) / "model"


def test_what_is_called_after_the_folder_that_one_stands_in_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "small" / "inner")
    names = {named: end_of(named) for named in (".", "..", "./", "../../small", "owner/x", "demo")}
    assert names == {
        ".": "inner",
        "..": "small",
        "./": "inner",
        "../../small": "small",
        "owner/x": "x",
        "demo": "demo",
    }
