"""Prompts of a gateway's file go where the gateway reads them, in every target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.folder import write_rendered
from llmops_cli.deploy.lint.finding import Finding
from llmops_cli.deploy.lint.prompts import without_prompts, wrong_mounts
from llmops_cli.deploy.lint.read import read_folder
from llmops_cli.prompt_file.library import read_library
from tests.unit.deploy.conftest import GATEWAY, Render, objects

WITH_PROMPTS = GATEWAY + "prompts: texts\n"
SUPPORT = "---\nmodel: assistant\n---\nsystem:\nBe kind: {{rule}}.\n\nuser:\n{{question}}\n"


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    (folder / "short and long").mkdir(parents=True)
    (folder / "support.md").write_text(SUPPORT)
    (folder / "short and long" / "brief.txt").write_text("Be brief.\n")
    (folder / "README.md").write_text("No prompt.\n")
    return folder


def written(folder: Path, files: dict[str, str]) -> Path:
    write_rendered(folder, {name: text.encode() for name, text in files.items()}, force=False)
    return folder


def findings(folder: Path) -> list[Finding]:
    """Of our lint of prompts: promtool and its kin take seconds."""
    return [*wrong_mounts(read_folder(folder, "manifests").objects), *without_prompts(folder)]


def mounted(files: dict[str, str], below: str, place: Path) -> Path:
    """What the kubelet would make of the volume."""
    found = objects(files, below)
    data = found["ConfigMap", "llmops-gateway"]["data"]
    pod = found["Deployment", "llmops-gateway"]["spec"]["template"]["spec"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "config"]
    for item in volume["configMap"]["items"]:
        path = place / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data[item["key"]])
    return place


def names_at(folder: Path) -> set[str]:
    """The prompts that a gateway with this file serves."""
    named = yaml.safe_load((folder / "gateway.yaml").read_text())["prompts"]
    return set(read_library(folder / named))


@pytest.mark.parametrize("below", ["manifests/", "overlays/local/"])
def test_a_pod_mounts_them_beside_its_file(
    rendered: Render, prompts: Path, tmp_path: Path, below: str
) -> None:
    files = rendered(WITH_PROMPTS)
    place = mounted(files, below, tmp_path / "etc")
    assert names_at(place) == {"support", "brief"}
    assert (place / "prompts" / "support.md").read_text() == SUPPORT


@pytest.mark.parametrize("target", ["compose", "systemd"])
def test_a_machine_has_their_files(
    rendered: Render, prompts: Path, tmp_path: Path, target: str
) -> None:
    folder = written(tmp_path / "out", rendered(WITH_PROMPTS, target=target))
    assert names_at(folder / target) == {"support", "brief"}
    assert findings(folder) == []
    if target == "compose":
        services = yaml.safe_load((folder / "compose" / "compose.yaml").read_text())["services"]
        assert "./prompts:/etc/llmops/prompts:ro" in services["gateway"]["volumes"]
    (folder / target / "prompts" / "support.md").unlink()
    (folder / target / "prompts" / "short and long" / "brief.txt").unlink()
    (finding,) = findings(folder)
    assert finding.rule == "prompts"


def test_the_check_tells_prompts_that_no_pod_has(
    rendered: Render, prompts: Path, tmp_path: Path
) -> None:
    folder = written(tmp_path / "out", rendered(WITH_PROMPTS))
    assert findings(folder) == []
    path = folder / "manifests" / "gateway.yaml"
    whole = list(yaml.safe_load_all(path.read_text()))
    volumes = whole[0]["spec"]["template"]["spec"]["volumes"]
    items = volumes[0]["configMap"]["items"]
    del items[1:]
    path.write_text(yaml.safe_dump_all(whole))
    assert {each.rule for each in findings(folder)} == {"prompts"}
    items.append({"key": "gone", "path": "prompts/gone.md"})
    path.write_text(yaml.safe_dump_all(whole))
    (finding,) = findings(folder)
    assert "mounts gone, which ConfigMap llmops-gateway lacks" in finding.message


def test_another_text_of_a_prompt_is_a_rolling_change(rendered: Render, prompts: Path) -> None:
    def digest() -> Any:
        found = objects(rendered(WITH_PROMPTS))["Deployment", "llmops-gateway"]
        return found["spec"]["template"]["metadata"]["annotations"]

    before = digest()
    (prompts / "support.md").write_text(SUPPORT.replace("kind", "brief"))
    assert digest() != before


def test_a_chart_leaves_their_holes(rendered: Render, prompts: Path) -> None:
    text = rendered(WITH_PROMPTS)["chart/templates/config.yaml"]
    assert "{{question}}" not in text.replace('{{ "{{" }}', "")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("bad.md", "---\nmodle: m\n---\nHi\n", "bad.md:2: unknown key 'modle'"),
        ("bad.md", "---\nmodel: nobody\n---\nHi\n", "unknown model 'nobody'"),
        ("big.md", "word " * 200_000, "do not fit into a ConfigMap"),
        ("short-and-long..brief.txt", "Hi", "are alike as keys"),
    ],
)
def test_what_cannot_be_brought_along_is_told(
    rendered: Render, prompts: Path, name: str, text: str, words: str
) -> None:
    (prompts / name).write_text(text)
    with pytest.raises(UsageError, match=words):
        rendered(WITH_PROMPTS)


def test_a_folder_that_is_not_there_is_told_by_its_line(rendered: Render) -> None:
    with pytest.raises(UsageError, match=r"gateway\.yaml:10: prompts: no folder"):
        rendered(WITH_PROMPTS)
