"""What stands in the manifests, by what a cluster would do with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.lint.finding import containers_in, pods_in
from llmops_cli.deploy.lint.names import Found
from llmops_cli.deploy.recipe import RenderRecipe
from llmops_cli.deploy.render import render
from llmops_cli.gateway_file.read import read_file
from tests.unit.deploy.conftest import GATEWAY, Render, objects


def test_the_same_file_gives_the_same_bytes(rendered: Render) -> None:
    assert rendered() == rendered()


def test_an_engine_has_pods_a_headless_service_and_a_budget(rendered: Render) -> None:
    found = objects(rendered())
    assert found["Service", "llmops-chat"]["spec"]["clusterIP"] == "None"
    assert found["PodDisruptionBudget", "llmops-chat"]["spec"]["maxUnavailable"] == 1
    spec = found["Deployment", "llmops-chat"]["spec"]
    assert spec["replicas"] == 2
    pod = spec["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 930
    assert {"name": "shm", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]


def test_an_engine_over_several_machines_is_a_leader_worker_set(rendered: Render) -> None:
    found = objects(rendered())
    group = found["LeaderWorkerSet", "llmops-big"]["spec"]["leaderWorkerTemplate"]
    assert group["size"] == 2
    leader = group["leaderTemplate"]["spec"]["containers"][0]
    worker = group["workerTemplate"]["spec"]["containers"][0]
    assert leader["resources"]["limits"]["nvidia.com/gpu"] == 8
    assert "--headless" in worker["args"]
    assert "readinessProbe" in leader
    assert "readinessProbe" not in worker


def test_no_container_has_rights_and_every_one_asks_for_something(rendered: Render) -> None:
    for value in objects(rendered()).values():
        for pod in pods_in(Found("", value)):
            assert pod["spec"]["automountServiceAccountToken"] is False
            assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
            for container in containers_in(pod):
                context = container["securityContext"]
                assert context["readOnlyRootFilesystem"] is True
                assert context["capabilities"] == {"drop": ["ALL"]}
                assert container["resources"]["requests"]


def test_secrets_are_names_only(rendered: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTED_KEY", "sk-live-abcdefghijklmnop")
    files = rendered()
    assert "sk-live-abcdefghijklmnop" not in "".join(files.values())
    pod = objects(files)["Deployment", "llmops-gateway"]["spec"]["template"]["spec"]
    variables = {each["name"]: each for each in pod["containers"][0]["env"]}
    reference = variables["HOSTED_KEY"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": "llmops-env", "key": "HOSTED_KEY"}
    assert variables["TEAM"]["valueFrom"]["secretKeyRef"]["optional"] is True


def test_the_clusters_file_is_one_that_a_gateway_takes(
    rendered: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "x")
    data = objects(rendered())["ConfigMap", "llmops-gateway"]["data"]
    path = tmp_path / "cluster.yaml"
    path.write_text(data["gateway.yaml"])
    config = read_file(path).config
    assert config.upstreams["chat"].engine is None
    assert config.upstreams["chat"].discover is not None
    assert config.upstreams["chat"].discover.dns == "llmops-chat:8000"
    assert config.upstreams["chat"].max_in_flight == 64
    assert config.upstreams["hosted"].key_env == "HOSTED_KEY"
    assert config.redis is not None


def test_a_change_of_the_file_is_a_rolling_change(rendered: Render) -> None:
    def digest(files: dict[str, Any]) -> str:
        template = objects(files)["Deployment", "llmops-gateway"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["llmops/config-digest"])

    before = digest(rendered())
    after = digest(rendered(GATEWAY + "queue: {depth: 3}\n"))
    assert before != after


def test_a_startup_probe_is_as_patient_as_the_load_was_slow(
    rendered: Render, tmp_path: Path
) -> None:
    run = {
        "schema": "llmops.bench/2",
        "startup": {"process_s": 10.0, "load_s": 100.0, "first_token_s": 1.0},
        "levels": [
            {"label": "8 streams", "concurrency": 8, "output_tokens_per_s": 90.0},
            {"label": "32 streams", "concurrency": 32, "output_tokens_per_s": 100.0},
        ],
        "finding": {"knee": "8 streams"},
    }
    report = tmp_path / "report.json"
    report.write_text(json.dumps(run))
    files = rendered(bench={"chat": str(report)})
    found = objects(files)
    container = found["Deployment", "llmops-chat"]["spec"]["template"]["spec"]["containers"][0]
    probe = container["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] >= 3 * 111
    trigger = found["ScaledObject", "llmops-chat"]["spec"]["triggers"][0]["metadata"]
    assert trigger["threshold"] == "6"
    assert f"0.8 of 8 streams, the knee of {report}" in files["manifests/scaling.yaml"]


def test_of_two_ways_in_the_chosen_one_is_applied(rendered: Render) -> None:
    def applied(**fields: Any) -> list[str]:
        files = rendered(**fields)
        return list(yaml.safe_load(files["manifests/kustomization.yaml"])["resources"])

    assert "httproute.yaml" in applied()
    assert "ingress.yaml" not in applied()
    assert "ingress.yaml" in applied(route="ingress")


def test_a_download_is_checked_against_what_is_here(rendered: Render, tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF and more")
    text = f"upstreams: {{chat: {{engine: llamacpp, model: {model}}}}}\n"
    found = objects(rendered(text, models="https://models.example.com/v1"))
    pod = found["Deployment", "llmops-chat"]["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["args"][2] == "/models"
    rows = json.loads(found["ConfigMap", "llmops-chat-download"]["data"]["files.json"])
    assert rows[0]["name"] == "m.gguf"
    assert len(rows[0]["sha256"]) == 64


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "My_Gateway"}, "no cluster takes"),
        ({"namespace": "-x"}, "no cluster takes"),
        ({"bench": {"chat": "/no/such"}}, "no bench run at /no/such"),
        ({"plan": {"chat": "/no/such"}}, "no plan at /no/such"),
        ({"plan": {"cat": "/no/such"}}, "unknown upstream with an engine 'cat'"),
        ({"max_replicas": 4}, "nothing says what a replica of upstream big carries"),
        ({"models": "ftp://x"}, "says no place"),
        ({"models": "https://h:99999/x"}, "says no place"),
        ({"models": "https://[x"}, "says no place"),
        ({"models": "https://token@h/x"}, "says no place"),
        ({"models": "https://h/x?token=y"}, "says no place"),
        ({"models": "claim:-x"}, "no cluster takes"),
        ({"namespace": "n" * 60}, "longer than 59"),
        ({"host": "10.0.0.1"}, "no host's name"),
        ({"host": "a" * 64 + ".com"}, "more than 63"),
        ({"gpu_resource": "my gpu"}, "no resource of a node"),
        ({"prometheus": "http://u:pw@prometheus:9090"}, "no address that stands in a manifest"),
        ({"prometheus": "prometheus:9090"}, "no address"),
        ({"slo_errors": 100.0}, "nothing is ever wrong"),
        ({"slo_tpot_s": 3.0}, "nobody would be told"),
        ({"slo_e2e_s": 900.0}, "nobody would be told"),
        ({"images": {"chatt": "x:1"}}, "unknown image of 'chatt'"),
        ({"foreign": {"hosted": "sglang"}}, "needs its image"),
        ({"models": "https://models.example.com"}, "is no file or folder"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    rendered: Render, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as error:
        rendered(**fields)
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("upstreams: {a: {engine: llamacp, model: demo}}", "llamacpp"),
        ("upstreams: {a: {engine: sim, model: demo}}", "no image of engine sim"),
        ("upstreams: {a_b: {engine: llamacpp, model: demo}}", "a_b"),
        ("upstreams: {redis: {engine: llamacpp, model: demo}}", "another name than gateway"),
        ("upstreams: {nightly: {engine: llamacpp, model: demo}}", "another name than gateway"),
        (
            "upstreams: {a-worker: {engine: llamacpp, model: demo}, a: {engine: vllm, model: o/m, "
            "options: {tensor_parallel: 8, pipeline_parallel: 2}}}",
            "as the workers of upstream a are",
        ),
        ("upstreams: {a: {url: http://h/v1, headers: {X-Api-Key: abc}}}", "holds a secret"),
        ("upstreams: {a: {url: http://h/v1}}\nredis: {url: redis://:pw@h:1/0}", "holds a secret"),
        ("upstreams: {a: {url: http://h/v1}}\nkeys_required: false", "keys_required"),
        ("upstreams: {a: {url: http://h/v1}}\nguard: none.yaml", "no policy at none.yaml"),
        ("upstreams: {a: {url: http://h/v1}}\nguard: ~nobody/p.yaml", "no policy at ~nobody"),
        ("upstreams: {a: {url: http://h/v1}}\nprompts: ~nobody/p", "no folder of prompts"),
        ("upstreams: {}", "there is no upstream"),
        ("", "holds no configuration"),
    ],
)
def test_a_file_that_serve_refuses_is_refused(rendered: Render, text: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        rendered(text)
    assert words in f"{error.value.message} {error.value.hint}"


@pytest.mark.parametrize("model", ["~nobody/m.gguf", "x" * 5000])
def test_a_model_of_any_name_is_one_that_is_not_here(model: str, rendered: Render) -> None:
    pod = objects(rendered(f"upstreams: {{a: {{engine: llamacpp, model: {model}}}}}\n"))
    resources = pod["Deployment", "llmops-a"]["spec"]["template"]["spec"]["containers"][0]
    assert "memory" not in resources["resources"]["requests"]


@pytest.mark.parametrize(
    ("upstream", "ports"),
    [
        ("url: https://h/v1", [443]),
        ('url: "https://[::1]:8443/v1"', [8443]),
        ('url: "http://${HOST}:8000/v1"', [8000]),
        ('url: "https://${HOST}/v1"', None),
        ('url: "${URL}"', None),
        ("discover: {dns: engines:8000}", [8000]),
        ("discover: {srv: _http._tcp.engines.svc}", None),
        ("discover: {file: members.json}", None),
        ('discover: {dns: "engines:8000", resolver: "10.0.0.9:5353"}', [8000, 5353]),
    ],
)
def test_a_gateway_may_reach_what_its_file_names(
    upstream: str, ports: list[int] | None, rendered: Render
) -> None:
    found = objects(rendered(f"upstreams: {{a: {{{upstream}}}}}\n", replicas=1))
    egress = found["NetworkPolicy", "llmops-gateway"]["spec"]["egress"][1:]
    told = [rule["ports"][0] for rule in egress]
    if ports is None:
        assert told == [{"protocol": "TCP"}]
    else:
        assert [each["port"] for each in told] == ports


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        (":${REDIS_PASSWORD}@127.0.0.1", True),
        ("me:${REDIS_PASSWORD}@localhost", True),
        ("[::1]", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_a_redis_beside_the_gateway_is_rendered(
    host: str, is_ours: bool, rendered: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "x")
    text = f'upstreams: {{a: {{url: http://h/v1}}}}\nredis: {{url: "redis://{host}:6379/0"}}\n'
    assert (("Deployment", "llmops-redis") in objects(rendered(text))) == is_ours


@pytest.mark.parametrize(
    ("target", "is_told"), [("k8s", True), ("compose", True), ("systemd", False)]
)
def test_an_address_at_which_a_container_finds_itself_is_told(
    target: Any, is_told: bool, gateway_file: Path
) -> None:
    gateway_file.write_text(
        'upstreams: {a: {url: "http://127.0.0.1:8001/v1"}, b: {url: "http://h/v1"}}\n'
        "traces: http://localhost:4318\n"
    )
    notes = render(RenderRecipe(config=str(gateway_file), target=target)).notes
    places = [note.partition(":")[0] for note in notes if "own container" in note]
    assert places == (["upstreams.a", "traces"] if is_told else [])


def test_machines_of_one_engine_reach_each_other(rendered: Render) -> None:
    """What no policy names is refused: workers could not even look their leader up."""
    found = objects(rendered())
    group = found["LeaderWorkerSet", "llmops-big"]["spec"]["leaderWorkerTemplate"]
    labels = [group[name]["metadata"]["labels"] for name in ("leaderTemplate", "workerTemplate")]
    for policy in (found["NetworkPolicy", f"llmops-big{end}"]["spec"] for end in ("", "-worker")):
        selected = policy["podSelector"]["matchLabels"].items()
        assert any(selected <= each.items() for each in labels)
        inner = next(rule for rule in policy["ingress"] if "ports" not in rule)["from"]
        outer = next(rule for rule in policy["egress"] if "ports" not in rule)["to"]
        for peers in (inner, outer):
            chosen = [peer["podSelector"]["matchLabels"] for peer in peers]
            assert all(any(c.items() <= each.items() for c in chosen) for each in labels)
        assert {"protocol": "UDP", "port": 53} in policy["egress"][0]["ports"]
