"""How a model comes into a pod: a claim, a folder of the node, or a download with its digests."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from llmops_cli.deploy.engine_process import PYTHON
from llmops_cli.deploy.knob import Knob, Manifest
from llmops_cli.deploy.kubernetes.metadata import resource
from llmops_cli.deploy.kubernetes.pods import TMP_MOUNT, container_security
from llmops_cli.deploy.model_place import FOLDER
from llmops_cli.deploy.setting import EngineSetting, Setting
from llmops_cli.runtime.paths import WORKERS

SCRIPT = WORKERS / "pods" / "download.py"
SCRIPT_FOLDER = "/etc/llmops-download"
SPARE_BYTES = 1.1


def model_mount(each: EngineSetting) -> Manifest:
    return {"name": "models", "mountPath": FOLDER, "readOnly": not each.files}


def model_volumes(setting: Setting, each: EngineSetting) -> list[Manifest]:
    volume = setting.volume
    if volume.claim is not None:
        claim = {"claimName": volume.claim, "readOnly": True}
        return [{"name": "models", "persistentVolumeClaim": claim}]
    if volume.host is not None:
        folder = {"path": volume.host, "type": "Directory"}
        return [{"name": "models", "hostPath": folder}]
    mib = sum(file.size_bytes for file in each.files) * SPARE_BYTES / (1 << 20)
    size = Knob(f"{max(1, round(mib))}Mi", f"{SPARE_BYTES:g} x the model's files")
    script = {"name": f"{each.label}-download"}
    return [
        {"name": "models", "emptyDir": {"sizeLimit": size}},
        {"name": "download", "configMap": script},
    ]


def download_container(setting: Setting, each: EngineSetting) -> Manifest:
    """Ends well only with every file of the digest that was here when this was rendered."""
    source = setting.volume.url or ""
    return {
        "name": "download",
        "image": each.image,
        "command": [_python(each), f"{SCRIPT_FOLDER}/download.py"],
        "args": [f"{SCRIPT_FOLDER}/files.json", f"{source}/{_remote(each)}", _target(each)],
        "securityContext": container_security(),
        "resources": {"requests": {"cpu": "500m", "memory": "128Mi"}},
        "volumeMounts": [
            {"name": "download", "mountPath": SCRIPT_FOLDER, "readOnly": True},
            {"name": "models", "mountPath": FOLDER},
            TMP_MOUNT,
        ],
    }


def _python(each: EngineSetting) -> str:
    return "python3" if each.is_foreign else PYTHON


def _is_file(each: EngineSetting) -> bool:
    return PurePosixPath(each.process.model_path).suffix == ".gguf"


def _remote(each: EngineSetting) -> str:
    """Below the address: a folder's name; a file stands there itself."""
    if _is_file(each):
        return ""
    return PurePosixPath(each.process.model_path).relative_to(FOLDER).as_posix()


def _target(each: EngineSetting) -> str:
    path = PurePosixPath(each.process.model_path)
    return str(path.parent if _is_file(each) else path)


def download_script(setting: Setting, each: EngineSetting) -> Manifest:
    rows = [
        {"name": file.name, "size": file.size_bytes, "sha256": file.sha256} for file in each.files
    ]
    return resource(
        setting,
        "ConfigMap",
        f"{each.label}-download",
        part=f"engine-{each.upstream}",
        data={
            "download.py": SCRIPT.read_text(encoding="utf-8"),
            "files.json": json.dumps(rows, indent=1) + "\n",
        },
    )
