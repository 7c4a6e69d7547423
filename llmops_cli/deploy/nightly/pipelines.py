"""The same jobs as a workflow of GitHub and a pipeline of GitLab.

Their runs lie in a cache from one night to the next, so that `report list` shows how it goes.
"""

from __future__ import annotations

import shlex

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.nightly.night import JOBS, KEY, MOST_S, Night
from llmops_cli.deploy.setting import Setting
from llmops_cli.deploy.yaml_writer import as_yaml

LLMOPS = "/opt/llmops/bin/python -m llmops_cli"
"""In the gateway's image."""
URL = "LLMOPS_URL"
RESULTS = "results"


def pipeline_files(setting: Setting) -> dict[str, str]:
    """Nothing where nobody asked for it."""
    if not setting.nights:
        return {}
    return {
        "ci/github-nightly.yml": as_yaml(_github(setting)),
        "ci/gitlab-nightly.yml": as_yaml(_gitlab(setting)),
    }


def _commands(night: Night) -> list[str]:
    found = []
    for job in JOBS:
        words = " ".join(shlex.quote(word) for word in night.words(job, f"${URL}"))
        found.append(f"{LLMOPS} {words}".replace(f"'${URL}'", f'"${URL}"'))
    return found


def _github(setting: Setting) -> Manifest:
    """Variables LLMOPS_URL, secret LLMOPS_API_KEY, of the repository."""
    crons = dict.fromkeys(night.cron("bench") for night in setting.nights)
    steps: list[Manifest] = [
        {
            "uses": "actions/cache@v4",
            "with": {
                "path": RESULTS,
                "key": "llmops-nightly-${{ github.run_id }}",
                "restore-keys": "llmops-nightly-",
            },
        }
    ]
    for night in setting.nights:
        steps += [{"run": command, "if": _at_its_time(night)} for command in _commands(night)]
    listed = f'{LLMOPS} report list {RESULTS} >> "$GITHUB_STEP_SUMMARY"'
    steps.append({"run": listed, "if": "always()"})
    return {
        "name": f"{setting.name} by night",
        "on": {"schedule": [{"cron": cron} for cron in crons], "workflow_dispatch": {}},
        "permissions": {"contents": "read"},
        "jobs": {
            "nightly": {
                "runs-on": "ubuntu-24.04",
                "timeout-minutes": MOST_S // 60,
                "container": {"image": setting.gateway_image, "options": "--user root"},
                "env": {
                    URL: f"${{{{ vars.{URL} }}}}",
                    KEY: f"${{{{ secrets.{KEY} }}}}",
                },
                "steps": steps,
            }
        },
    }


def _at_its_time(night: Night) -> str:
    """Of GitHub: each time of another model starts the workflow too. Whoever starts it means all.

    A step that failed keeps none behind it from running.
    """
    is_its_time = f"github.event.schedule == '{night.cron('bench')}'"
    return f"always() && (github.event_name == 'workflow_dispatch' || {is_its_time})"


def _gitlab(setting: Setting) -> Manifest:
    """A schedule of the project starts it; variables LLMOPS_URL and LLMOPS_API_KEY, masked.

    All commands run, also behind one that failed; the job then ends as the last of those did.
    """
    commands = [command for night in setting.nights for command in _commands(night)]
    script = ["failed=0", *(f"{command} || failed=$?" for command in commands), 'exit "$failed"']
    return {
        "nightly": {
            "image": {"name": setting.gateway_image, "entrypoint": [""]},
            "rules": [{"if": '$CI_PIPELINE_SOURCE == "schedule"'}],
            "timeout": "6 hours",
            "cache": {"key": "llmops-nightly", "paths": [f"{RESULTS}/"], "when": "always"},
            "script": script,
            "after_script": [f"{LLMOPS} report list {RESULTS}"],
            "artifacts": {"when": "always", "paths": [f"{RESULTS}/"], "expire_in": "30 days"},
        }
    }
