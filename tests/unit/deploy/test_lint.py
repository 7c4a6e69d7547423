"""Each rule of the lint finds the mistake that it is for, and none in what we render."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.check import check_folder
from llmops_cli.deploy.lint.compose import wrong_compose
from llmops_cli.deploy.lint.finding import Found
from llmops_cli.deploy.lint.forms import by_form
from llmops_cli.deploy.lint.names import wrong_names
from llmops_cli.deploy.lint.ports import wrong_ports
from llmops_cli.deploy.lint.read import read_folder
from llmops_cli.deploy.lint.safety import unsafe
from llmops_cli.deploy.lint.schemas import wrong_by_schema
from tests.unit.deploy.conftest import Render, objects

Objects = dict[tuple[str, str], Any]


def container(found: Objects) -> Any:
    return found["Deployment", "llmops-chat"]["spec"]["template"]["spec"]["containers"][0]


def rules(found: Objects) -> set[str]:
    listed = [Found("m.yaml", value) for value in found.values()]
    wrong = [*wrong_names(listed), *wrong_ports(listed), *unsafe(listed)]
    return {each.rule for each in wrong}


def test_what_we_render_has_none(rendered: Render) -> None:
    found = objects(rendered())
    assert rules(found) == set()
    assert not list(wrong_by_schema([Found("m.yaml", value) for value in found.values()]))


def break_selector(found: Objects) -> None:
    found["Deployment", "llmops-chat"]["spec"]["selector"]["matchLabels"] = {"app": "x"}


def break_service(found: Objects) -> None:
    found["Service", "llmops-chat"]["spec"]["selector"] = {"app": "x"}


def break_target_port(found: Objects) -> None:
    found["Service", "llmops-chat"]["spec"]["ports"][0]["targetPort"] = "htp"


def break_probe_port(found: Objects) -> None:
    container(found)["readinessProbe"]["httpGet"]["port"] = "htp"


def break_probe_path(found: Objects) -> None:
    container(found)["readinessProbe"]["httpGet"]["path"] = "/healthz"


def break_volume(found: Objects) -> None:
    container(found)["volumeMounts"][0]["name"] = "modles"


def break_config_map(found: Objects) -> None:
    del found["ConfigMap", "llmops-gateway"]


def break_scale_target(found: Objects) -> None:
    found["ScaledObject", "llmops-chat"]["spec"]["scaleTargetRef"]["name"] = "chat"


def scale_twice(found: Objects) -> None:
    target = found["ScaledObject", "llmops-chat"]["spec"]["scaleTargetRef"]
    found["HorizontalPodAutoscaler", "llmops-gateway"]["spec"]["scaleTargetRef"] = target


def float_tag(found: Objects) -> None:
    container(found)["image"] = "example.com/llama:latest"


def drop_tag(found: Objects) -> None:
    container(found)["image"] = "example.com:5000/llama"


def allow_root(found: Objects) -> None:
    container(found)["securityContext"]["allowPrivilegeEscalation"] = True


def write_secret(found: Objects) -> None:
    container(found)["env"].append({"name": "KEY", "value": "sk-proj-" + "a1B2c3D4" * 6})


def break_route(found: Objects) -> None:
    rule = found["HTTPRoute", "llmops-gateway"]["spec"]["rules"][0]
    rule["backendRefs"][0]["port"] = 81


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (break_selector, "selector"),
        (break_service, "selector"),
        (break_target_port, "port"),
        (break_probe_port, "port"),
        (break_probe_path, "probe"),
        (break_volume, "volume"),
        (break_config_map, "reference"),
        (break_scale_target, "scale-target"),
        (scale_twice, "scale-target"),
        (float_tag, "floating-tag"),
        (drop_tag, "floating-tag"),
        (allow_root, "security"),
        (write_secret, "secret"),
        (break_route, "port"),
    ],
)
def test_a_mistake_is_found(rendered: Render, change: Callable[[Objects], None], rule: str) -> None:
    found = objects(rendered())
    change(found)
    assert rule in rules(found)


def test_a_file_that_is_no_yaml_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "a.yaml").write_text("a: [")
    (tmp_path / "manifests" / "b.yaml").write_text(yaml.safe_dump({"a": 1}))
    assert [each.rule for each in read_folder(tmp_path, "manifests").findings] == ["yaml", "yaml"]


def test_a_folder_without_a_rendering_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing is rendered"):
        check_folder(tmp_path)


def test_a_secret_in_a_rendered_file_is_told_by_line(rendered: Render, tmp_path: Path) -> None:
    key = "sk-proj-4fHq8ZsT1vXn6Yb3Lw0KdRj7Mc2Pg9Ua5EiQoBt"
    config = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra, namespace: llmops}\n"
        f"data:\n  prompt: |\n    Use {key}.\n"
    )
    for name, text in {**rendered(), "manifests/extra.yaml": config}.items():
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    findings = check_folder(tmp_path / "out").findings
    (found,) = [each for each in findings if each.rule == "written secret"]
    assert found.file == "manifests/extra.yaml"
    assert found.message.startswith("line 6: a key (openai) stands here")
    assert key not in found.message


def composed(rendered: Render, folder: Path) -> Path:
    """A folder for compose; its file."""
    for name, text in rendered(target="compose").items():
        if name.startswith("compose/"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder / "compose" / "compose.yaml"


def test_a_compose_file_of_ours_is_fine_for_its_own_schema(
    rendered: Render, tmp_path: Path
) -> None:
    if not (Path(sys.executable).parent / "check-jsonschema").exists():
        pytest.skip("check-jsonschema is missing: pip install 'llmops-cli[deploy]'")
    path = composed(rendered, tmp_path)
    found = check_folder(tmp_path)
    assert [each for each in found.findings if each.file.startswith("compose/")] == []
    assert found.ran == ["own lint", "check-jsonschema"]
    assert set(found.missing) <= {"docker compose"}
    path.write_text(path.read_text().replace("restart:", "restrat:", 1))
    assert "compose-spec" in {each.rule for each in check_folder(tmp_path).findings}


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("name: llmops", "name: [", "yaml"),
        ("services:", "servces:", "form"),
        ("- chat\n", "- chta\n", "reference"),
        ("./gateway.yaml:", "./gatway.yaml:", "reference"),
        ("state:/var", "stat:/var", "volume"),
        ("source: models", "source: modles", "volume"),
        ("read_only: true", "read_only: false", "security"),
        ("llmops-gateway:", "llmops-gateway:latest # ", "floating-tag"),
    ],
)
def test_a_mistake_in_a_compose_file_is_found(
    old: str, new: str, rule: str, rendered: Render, tmp_path: Path
) -> None:
    path = composed(rendered, tmp_path)
    assert list(wrong_compose(tmp_path)) == []
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert {each.rule for each in wrong_compose(tmp_path)} == {rule}


@pytest.mark.parametrize("has_plugin", [True, False])
def test_docker_is_asked_where_it_knows_compose(
    has_plugin: bool, rendered: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed(rendered, tmp_path)
    script = '#!/bin/sh\n[ "$2" = version ] && exit {}\necho "$@" is wrong >&2; exit 15\n'
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(script.format(0 if has_plugin else 1))
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:/usr/bin:/bin")
    found = check_folder(tmp_path)
    told = [each.message for each in found.findings if each.rule == "docker compose"]
    if has_plugin:
        assert told == ["compose -f compose/compose.yaml config --no-interpolate --quiet is wrong"]
    else:
        assert not told
        assert "docker compose" in found.missing


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Pod\nmetadata: {name: p}\n", "no apiVersion"),
        ("apiVersion: v1\nkind: Secret\nmetadata: p\n", "no metadata"),
        (POD + "x", "spec is not"),
        (POD + "{containers: [null]}", "spec.containers is not"),
        (POD + "{containers: [{env: {A: b}}]}", "spec.containers.0.env is not"),
        (POD + "{containers: [{ports: [80]}]}", "spec.containers.0.ports is not"),
        (POD + "{volumes: x}", "spec.volumes is not"),
        (POD + "{volumes: [{name: [a]}]}", "spec.volumes.0.name is not"),
        (POD + "{containers: [{ports: [{name: {a: b}}]}]}", "ports.0.name is not"),
        (POD + "{containers: [{lifecycle: {preStop: {exec: yes}}}]}", "preStop.exec is not"),
        (
            "apiVersion: v1\nkind: NetworkPolicy\nmetadata: {name: n}\nspec: {egress: [{to: [1]}]}",
            "spec.egress.0.to is not",
        ),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: x}", "selector"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata: {gateway.yaml: 5}", "texts"),
    ],
)
def test_an_object_of_no_form_is_a_finding(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "theirs.yaml").write_text(text)
    readable, findings = by_form(read_folder(tmp_path, "manifests").objects)
    assert not readable
    assert [(each.file, each.rule) for each in findings] == [("manifests/theirs.yaml", "form")]
    assert words in findings[0].message


def test_what_has_no_form_ends_no_check(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "theirs.yaml").write_text(POD + "x")
    assert "form" in {each.rule for each in check_folder(tmp_path).findings}


def test_labels_may_be_called_as_fields_are(rendered: Render) -> None:
    found = objects(rendered())
    labels = found["Deployment", "llmops-chat"]["metadata"]["labels"]
    labels |= {"spec": "a", "ports": "b", "http": "c"}
    assert not by_form([Found("m.yaml", each) for each in found.values()]).findings


def test_of_a_unit_all_is_told_but_that_its_program_is_not_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "systemd-analyze"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\necho 'a.service: Command /opt/x is not executable: No such file' >&2\n"
        'grep -q Rstart "$2" && echo "$2:3: Unknown key Rstart" >&2\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    units = tmp_path / "out" / "systemd"
    units.mkdir(parents=True)
    (units / "fine.service").write_text("[Service]\nExecStart=/opt/x\n")
    (units / "odd.service").write_text("[Service]\nRstart=no\nExecStart=/opt/x\n")
    found = [each for each in check_folder(tmp_path / "out").findings if each.rule != "nginx"]
    assert [(each.file, each.message) for each in found] == [
        ("systemd/odd.service", "systemd/odd.service:3: Unknown key Rstart")
    ]
