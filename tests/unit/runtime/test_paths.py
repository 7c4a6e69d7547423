"""Whose folders the toolkit keeps its things in."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.runtime.env import find_env
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
