"""The other places where the same file can run, and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.spec import MODEL_DIGEST
from llmops_cli.deploy.images.build import find_builder
from llmops_cli.deploy.images.containerfile import IMAGES
from llmops_cli.deploy.images.context import MARK, write_context
from llmops_cli.deploy.lint.finding import Found
from llmops_cli.deploy.lint.names import wrong_names
from llmops_cli.deploy.lint.ports import wrong_ports
from llmops_cli.deploy.lint.safety import unsafe
from llmops_cli.gateway_file.read import read_file
from llmops_cli.runtime.digests import digest_path
from tests.unit.deploy.conftest import Render, objects


def test_compose_has_every_service_without_rights(rendered: Render) -> None:
    services = yaml.safe_load(rendered(target="compose")["compose/compose.yaml"])["services"]
    assert set(services) == {"gateway", "chat", "big"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    assert services["gateway"]["ports"] == ["127.0.0.1:8080:8080"]


def test_units_listen_on_this_machine_alone(rendered: Render, tmp_path: Path) -> None:
    files = rendered(target="systemd")
    unit = files["systemd/llmops-chat.service"]
    assert "--host 127.0.0.1" in unit
    assert "NoNewPrivileges=yes" in unit
    path = tmp_path / "there.yaml"
    path.write_text(files["systemd/gateway.yaml"])
    assert read_file(path).config.upstreams["chat"].url == "http://127.0.0.1:8000/v1"


def test_kserve_has_inference_services_that_our_service_finds(rendered: Render) -> None:
    found = objects(rendered(target="kserve"))
    predictor = found["InferenceService", "llmops-chat"]["spec"]["predictor"]
    selector = found["Service", "llmops-chat"]["spec"]["selector"]
    assert selector.items() <= predictor["labels"].items()
    assert ("Deployment", "llmops-chat") not in found
    assert not [kind for kind, _ in found if kind == "ScaledObject"]


def test_local_pods_are_on_this_machine(rendered: Render) -> None:
    found = objects(rendered(), "overlays/local/pods")
    pod = found["Deployment", "llmops-chat"]["spec"]["template"]["spec"]
    assert pod["hostNetwork"] is True
    assert "127.0.0.1" in pod["containers"][0]["args"]
    assert "8001" in pod["containers"][0]["args"]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_pinned_and_has_no_rights(name: str, tmp_path: Path) -> None:
    path = write_context(tmp_path / name, name, base="localhost/base:1", wheels=None)
    lines = path.read_text().splitlines()
    assert lines[0] == "ARG BASE=localhost/base:1"
    assert "USER 10001:10001" in lines
    last = lines[lines.index("FROM ${BASE}") :]
    assert not [line for line in last if "build-essential" in line or "pip install" in line]


def test_the_gateways_packages_are_pinned(tmp_path: Path) -> None:
    write_context(tmp_path, "gateway", base="localhost/base:1", wheels=None)
    for line in (tmp_path / "requirements.txt").read_text().splitlines():
        assert "==" in line or "python_full_version" in line, line


def test_what_no_image_is_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown image 'gatewy'"):
        write_context(tmp_path, "gatewy", base="localhost/base:1", wheels=None)
    with pytest.raises(UsageError, match="names no image"):
        write_context(tmp_path, "gateway", base="Not An Image", wheels=None)


def test_without_a_builder_it_is_said_what_is_missing(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentMissing, match="buildah, podman, docker are missing"):
        find_builder()


@pytest.mark.parametrize("name", ["workers", "recipes", "llmops_cli", "Containerfile"])
def test_an_image_is_made_in_no_folder_of_others(name: str, tmp_path: Path) -> None:
    mine = tmp_path / name
    mine.write_text("mine")
    with pytest.raises(UsageError, match="has files of others"):
        write_context(tmp_path, "gateway", base="localhost/base:1", wheels=None)
    assert mine.read_text() == "mine"
    ours = tmp_path / "ours"
    first = write_context(ours, "gateway", base="localhost/base:1", wheels=None).read_bytes()
    again = write_context(ours, "gateway", base="localhost/base:1", wheels=None).read_bytes()
    assert first == again


def test_an_image_is_made_anew_where_it_was_made_without_a_mark(tmp_path: Path) -> None:
    """As before there were marks."""
    write_context(tmp_path, "llamacpp", base="localhost/base:1", wheels=None)
    (tmp_path / MARK).unlink()
    path = write_context(tmp_path, "llamacpp", base="localhost/base:2", wheels=None)
    assert path.read_text().startswith("ARG BASE=localhost/base:2")


@pytest.mark.parametrize("name", ["Containerfile", "requirements.txt", "wheels/README"])
def test_without_a_mark_every_file_of_ours_is_wanted(name: str, tmp_path: Path) -> None:
    write_context(tmp_path, "llamacpp", base="localhost/base:1", wheels=None)
    (tmp_path / MARK).unlink()
    (tmp_path / name).unlink()
    with pytest.raises(UsageError, match="has files of others"):
        write_context(tmp_path, "llamacpp", base="localhost/base:1", wheels=None)


def downloaded(rendered: Render, tmp_path: Path, target: str) -> Any:
    (tmp_path / "m.gguf").write_bytes(b"GGUF and more")
    text = f"upstreams: {{chat: {{engine: llamacpp, model: {tmp_path}/m.gguf}}}}\n"
    return rendered(text, models="https://models.example.com/v1", target=target)


def test_kserve_and_local_pods_have_what_downloads_their_model(
    rendered: Render, tmp_path: Path
) -> None:
    found = objects(downloaded(rendered, tmp_path, "kserve"))
    listed = [Found("m.yaml", value) for value in found.values()]
    assert not [*wrong_names(listed), *wrong_ports(listed), *unsafe(listed)]
    assert ("PodDisruptionBudget", "llmops-chat") in found

    local = objects(downloaded(rendered, tmp_path, "k8s"), "overlays/local/pods")
    pod = local["Deployment", "llmops-chat"]["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["initContainers"]] == ["download"]
    named = {each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each}
    assert named <= {name for kind, name in local if kind == "ConfigMap"}
    gateway = local["Deployment", "llmops-gateway"]["spec"]["template"]["spec"]
    assert "initContainers" not in gateway


@pytest.mark.parametrize("is_folder", [False, True])
def test_an_engine_knows_the_digest_of_what_it_downloads(
    is_folder: bool, rendered: Render, tmp_path: Path
) -> None:
    model = tmp_path / ("model" if is_folder else "m.gguf")
    if is_folder:
        for name in ("config.json", "a/b.safetensors", ".cache/huggingface/c.metadata"):
            (model / name).parent.mkdir(parents=True, exist_ok=True)
            (model / name).write_text(name)
    else:
        model.write_bytes(b"GGUF and more")
    engine = "transformers" if is_folder else "llamacpp"
    text = f"upstreams: {{chat: {{engine: {engine}, model: {model}}}}}\n"
    found = objects(rendered(text, models="https://models.example.com/v1"))
    pod = found["Deployment", "llmops-chat"]["spec"]["template"]["spec"]
    variables = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert variables[MODEL_DIGEST] == digest_path(model)
    listed = found["ConfigMap", "llmops-chat-download"]["data"]["files.json"]
    assert ".cache" not in listed


@pytest.mark.parametrize("target", ["k8s", "kserve", "compose", "systemd"])
def test_all_processes_of_ours_log_as_was_asked(target: str, rendered: Render) -> None:
    assert not any("LLMOPS_LOG_FORMAT" in text for text in rendered(target=target).values())
    files = rendered(target=target, log_format="json")
    having = {name for name, text in files.items() if "LLMOPS_LOG_FORMAT" in text}
    below = {"k8s": "manifests", "kserve": "manifests"}.get(target, target)
    names = {
        "compose": {"compose/compose.yaml"},
        "systemd": {"systemd/llmops-gateway.service", "systemd/llmops-chat.service"},
    }.get(target, {f"{below}/gateway.yaml", f"{below}/engine-chat.yaml"})
    assert having >= names
    assert not any("engine-big" in name or "llmops-big" in name for name in having)


def test_several_machines_are_no_inference_service(rendered: Render) -> None:
    found = objects(rendered(target="kserve"))
    assert ("InferenceService", "llmops-big") not in found
    assert found["LeaderWorkerSet", "llmops-big"]["spec"]["leaderWorkerTemplate"]["size"] == 2


@pytest.mark.parametrize("target", ["compose", "systemd"])
def test_models_are_where_it_was_said_or_that_is_refused(
    target: str, rendered: Render, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="only pods of a cluster download"):
        downloaded(rendered, tmp_path, target)
    files = rendered(target=target, models="host:/srv/my: models")
    if target == "compose":
        service = yaml.safe_load(files["compose/compose.yaml"])["services"]["chat"]
        (mount,) = service["volumes"]
        assert (mount["source"], mount["target"]) == ("/srv/my: models", "/models")
    else:
        unit = files["systemd/llmops-chat.service"]
        assert 'BindReadOnlyPaths="/srv/my: models":/models\n' in unit


def test_no_volume_of_the_users_is_the_gateways_own(rendered: Render) -> None:
    files = rendered(target="compose", models="claim:state")
    volumes = yaml.safe_load(files["compose/compose.yaml"])["volumes"]
    assert volumes == {"state": {}, "models": {"external": True, "name": "state"}}


def test_redis_needs_no_rights_to_begin(rendered: Render) -> None:
    text = "upstreams: {a: {url: http://h/v1}}\nredis: {url: redis://localhost:6379/0}\n"
    services = yaml.safe_load(rendered(text, target="compose")["compose/compose.yaml"])["services"]
    assert services["redis"]["user"] == "999:999"


def test_the_overlay_for_trials_asks_no_other_namespace(rendered: Render) -> None:
    files = rendered(namespace="live")
    assert yaml.safe_load(files["overlays/dev/kustomization.yaml"])["namespace"] == "live-dev"
    config = objects(files)["ConfigMap", "llmops-gateway"]["data"]["gateway.yaml"]
    assert "live" not in config


def test_an_image_behind_a_port_has_no_tag(rendered: Render) -> None:
    files = rendered(images={"chat": "r.io:5000/chat", "big": "r.io:5000/big:2"})
    images = yaml.safe_load(files["overlays/prod/kustomization.yaml"])["images"]
    assert {"name": "r.io:5000/big", "newTag": "2"} in images
    assert "r.io" not in [each["name"] for each in images]
