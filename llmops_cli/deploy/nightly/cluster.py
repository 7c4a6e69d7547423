"""CronJobs of a cluster; their runs are kept on a volume."""

from __future__ import annotations

from llmops_cli.deploy.engine_process import PYTHON, to_the_letter
from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.gateway import PORT
from llmops_cli.deploy.kubernetes.metadata import all_labels, resource
from llmops_cli.deploy.kubernetes.pods import TMP, TMP_MOUNT, container_security, pod_security
from llmops_cli.deploy.nightly.night import JOBS, KEY, MOST_S, Night
from llmops_cli.deploy.setting import Setting

PART = "nightly"
RESULTS = "/results"
START_WITHIN_S = 3600


def nightly(setting: Setting) -> list[Manifest]:
    """Nothing where nobody asked for it."""
    if not setting.nights:
        return []
    jobs = [_job(setting, night, job) for night in setting.nights for job in JOBS]
    return [_volume(setting), *jobs]


def _volume(setting: Setting) -> Manifest:
    """Of the cluster's own kind; `llmops report list` in a pod that mounts it shows all runs."""
    return resource(
        setting,
        "PersistentVolumeClaim",
        setting.label(PART),
        part=PART,
        spec={
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "5Gi"}},
        },
    )


def _job(setting: Setting, night: Night, job: str) -> Manifest:
    return resource(
        setting,
        "CronJob",
        setting.label(f"{PART}-{night.number}-{job}"),
        api="batch/v1",
        part=PART,
        spec={
            "schedule": night.cron(job),
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": START_WITHIN_S,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 7,
            "jobTemplate": {
                "spec": {
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": MOST_S,
                    "template": {
                        "metadata": {"labels": all_labels(setting, PART)},
                        "spec": _pod(setting, night, job),
                    },
                }
            },
        },
    )


def _pod(setting: Setting, night: Night, job: str) -> Manifest:
    url = f"http://{setting.label('gateway-pods')}:{PORT}/v1"
    key = {"secretKeyRef": {"name": setting.label(PART), "key": KEY}}
    return {
        "restartPolicy": "Never",
        "serviceAccountName": setting.label("pods"),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [
            {
                "name": job,
                "image": setting.gateway_image,
                "command": [PYTHON, "-m", "llmops_cli"],
                "args": [to_the_letter(word) for word in night.words(job, url)],
                "workingDir": RESULTS,
                "env": [
                    {"name": KEY, "valueFrom": key},
                    {"name": "XDG_CACHE_HOME", "value": "/tmp/cache"},  # noqa: S108 - a pod's own
                    *({"name": name, "value": text} for name, text in setting.log_form.items()),
                ],
                "securityContext": container_security(),
                "resources": {
                    "requests": {"cpu": "500m", "memory": "512Mi"},
                    "limits": {"memory": "2Gi"},
                },
                "volumeMounts": [{"name": "results", "mountPath": RESULTS}, TMP_MOUNT],
            }
        ],
        "volumes": [
            {"name": "results", "persistentVolumeClaim": {"claimName": setting.label(PART)}},
            TMP,
        ],
    }
