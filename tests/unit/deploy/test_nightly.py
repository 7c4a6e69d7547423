"""Jobs by night: what clusters, GitHub and GitLab are told, and what the commands say to it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.check import check_folder
from llmops_cli.deploy.lint.finding import Found
from llmops_cli.deploy.lint.names import wrong_names
from llmops_cli.deploy.lint.ports import wrong_ports
from llmops_cli.deploy.lint.safety import unsafe
from llmops_cli.deploy.lint.schemas import wrong_by_schema
from llmops_cli.deploy.nightly.pipelines import LLMOPS
from tests.unit.deploy.conftest import Render, objects

NIGHTLY = {"assistant": "23:30", "large": "01:05"}
NOBODY = "http://127.0.0.1:9/v1"


def jobs(files: dict[str, Any]) -> dict[str, Any]:
    return {name: value for (kind, name), value in objects(files).items() if kind == "CronJob"}


def test_each_model_has_a_bench_and_an_hour_later_a_red_team(rendered: Render) -> None:
    found = jobs(rendered(nightly=NIGHTLY))
    assert {name: job["spec"]["schedule"] for name, job in found.items()} == {
        "llmops-nightly-1-bench": "30 23 * * *",
        "llmops-nightly-1-redteam": "30 0 * * *",
        "llmops-nightly-2-bench": "5 1 * * *",
        "llmops-nightly-2-redteam": "5 2 * * *",
    }
    listed = [Found("m", value) for value in objects(rendered(nightly=NIGHTLY)).values()]
    assert not [*wrong_names(listed), *wrong_ports(listed), *unsafe(listed)]
    assert not list(wrong_by_schema(listed))


def test_nobody_else_is_asked_and_the_overlay_for_trials_has_none(rendered: Render) -> None:
    files = rendered(nightly=NIGHTLY)
    policy = objects(files)["NetworkPolicy", "llmops-nightly"]["spec"]
    assert policy["ingress"] == []
    asked = [each["to"][0]["podSelector"]["matchLabels"] for each in policy["egress"]]
    assert asked[1]["app.kubernetes.io/component"] == "gateway"
    patches = yaml.safe_load(files["overlays/dev/kustomization.yaml"])["patches"]
    gone = {each["target"]["name"] for each in patches if each["target"]["kind"] == "CronJob"}
    assert gone == set(jobs(files))
    assert not [name for name in rendered() if name.startswith("ci/") or "nightly" in name]


def argv_of(files: dict[str, Any], form: str) -> list[list[str]]:
    """Behind `python -m llmops_cli`."""
    if form == "k8s":
        pods = [each["spec"]["jobTemplate"]["spec"]["template"] for each in jobs(files).values()]
        return [pod["spec"]["containers"][0]["args"] for pod in pods]
    whole = yaml.safe_load(files[f"ci/{form}-nightly.yml"])
    lines = []
    if form == "gitlab":
        script = whole["nightly"]["script"][1:-1]
        lines = [line.removesuffix(" || failed=$?") for line in script]
    if form == "github":
        lines = [step["run"] for step in whole["jobs"]["nightly"]["steps"] if "run" in step][:-1]
    return [shlex.split(line)[3:] for line in lines]


@pytest.mark.parametrize("form", ["k8s", "github", "gitlab"])
def test_its_commands_are_taken(form: str, rendered: Render, tmp_path: Path) -> None:
    """Nobody answers (3); a flag that there is not would be a 2."""
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "LLMOPS_API_KEY": "k"}
    found = argv_of(rendered(nightly={"assistant": "03:30"}), form)
    assert [argv[0] for argv in found] == ["bench", "redteam"]
    for argv in found:
        argv[argv.index("--url") + 1] = NOBODY
        run = subprocess.run(
            [sys.executable, "-m", "llmops_cli", *argv],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 3, run.stderr


def test_each_time_of_github_is_that_of_its_model_alone(rendered: Render) -> None:
    """Each model was benched and attacked as often a night as there are models."""
    whole = yaml.safe_load(rendered(nightly=NIGHTLY)["ci/github-nightly.yml"])
    steps = [step for step in whole["jobs"]["nightly"]["steps"] if "run" in step]
    times = ["30 23 * * *", "5 1 * * *"]
    assert [each["cron"] for each in whole["on"]["schedule"]] == times
    assert [step["if"] for step in steps] == [
        f"always() && (github.event_name == 'workflow_dispatch' || github.event.schedule == '{at}')"
        for at in (times[0], times[0], times[1], times[1])
    ] + ["always()"]


def test_a_bench_that_fails_keeps_no_red_team_of_gitlab_from_running(
    rendered: Render, tmp_path: Path
) -> None:
    whole = yaml.safe_load(rendered(nightly={"assistant": "03:30"})["ci/gitlab-nightly.yml"])
    played = tmp_path / "llmops"
    played.write_text('#!/bin/sh\necho "$3"\ntest "$3" != bench || exit 3\n')
    played.chmod(0o755)
    lines = [line.replace(LLMOPS, f"{played} -m llmops_cli") for line in whole["nightly"]["script"]]
    argv = ["sh", "-e", "-c", "\n".join(lines)]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout.split(), run.returncode) == (["bench", "redteam"], 3)


def test_a_model_s_name_is_one_word_to_any_shell(rendered: Render) -> None:
    name = 'a b\'; rm -rf "/" $(x)'
    text = (
        f"upstreams: {{h: {{url: http://h/v1}}}}\nmodels: {{{json.dumps(name)}: {{pool: [h]}}}}\n"
    )
    files = rendered(text, nightly={name: "03:30"})
    for form in ("github", "gitlab"):
        assert all(name in argv for argv in argv_of(files, form))
    (args, _) = argv_of(files, "k8s")
    assert name.replace("$", "$$") in args


def test_github_and_gitlab_take_the_files(rendered: Render, tmp_path: Path) -> None:
    if not (Path(sys.executable).parent / "check-jsonschema").exists():
        pytest.skip("check-jsonschema is missing: pip install 'llmops-cli[deploy]'")
    for name, text in rendered(nightly=NIGHTLY, target="compose").items():
        if name.startswith(("ci/", "compose/")):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
    found = check_folder(tmp_path)
    assert [each for each in found.findings if each.file.startswith("ci/")] == []
    for file, old, rule in (
        ("github", "runs-on", "github-workflows"),
        ("gitlab", "script", "gitlab-ci"),
    ):
        path = tmp_path / "ci" / f"{file}-nightly.yml"
        path.write_text(path.read_text().replace(f"{old}:", f"{old}s:"))
        assert rule in {each.rule for each in check_folder(tmp_path).findings}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"nightly": {"asistant": "03:30"}}, "unknown model 'asistant'"),
        ({"nightly": {"assistant": "24:00"}}, "is no time"),
        ({"nightly": {"assistant": "3:30"}}, "is no time"),
        ({"nightly": {"${{ secrets.X }}": "03:30"}}, "unknown model"),
    ],
)
def test_what_cannot_be_is_told(fields: dict[str, Any], words: str, rendered: Render) -> None:
    with pytest.raises(UsageError, match=words):
        rendered(**fields)
