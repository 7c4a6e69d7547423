"""The Containerfile of an image: two stages, of which the second has no compiler.

Its user has no rights, and nothing of it must be written.
"""

from __future__ import annotations

import msgspec

from llmops_cli import __version__

BASE = "docker.io/library/python:3.11-slim-bookworm"
USER = 10_001
SOURCE = "https://github.com/llmops-cli/llmops-cli"
PIP_INSTALL = "/opt/llmops/bin/pip install --no-cache-dir --find-links /src/wheels"
BILL = "/opt/llmops/bin/python /opt/llmops/workers pods.bill_of_materials"
SBOM_LABEL = "org.llmops.sbom"
NO_LOGIN = "--no-create-home --home-dir /tmp --shell /usr/sbin/nologin"


class ImageKind(msgspec.Struct, frozen=True, kw_only=True):
    """`tools`: Debian packages of the first stage; `libraries`: of the second."""

    title: str
    entry: tuple[str, ...]
    port: int
    tools: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


WORKER = ("/opt/llmops/bin/python", "/opt/llmops/workers")
IMAGES = {
    "gateway": ImageKind(
        title="llmops gateway",
        entry=("/opt/llmops/bin/python", "-m", "llmops_cli"),
        port=8080,
    ),
    "llamacpp": ImageKind(
        title="llmops llama.cpp engine",
        entry=(*WORKER, "llamacpp.server"),
        port=8000,
        tools=("build-essential", "cmake", "python3-dev"),
        libraries=("libgomp1", "libstdc++6"),
    ),
    "vllm": ImageKind(
        title="llmops vLLM engine",
        entry=("/opt/llmops/bin/python", "-m", "vllm.entrypoints.openai.api_server"),
        port=8000,
        libraries=("libgomp1", "libstdc++6"),
    ),
    "transformers": ImageKind(
        title="llmops Transformers engine",
        entry=(*WORKER, "hf.server"),
        port=8000,
        libraries=("libgomp1", "libstdc++6"),
    ),
}


def containerfile(name: str, *, base: str, digest: str, has_wheels: bool) -> str:
    """`digest`: of the context, so that an image says from what it was made.

    `has_wheels`: all that it needs, so that no index is asked.
    """
    image = IMAGES[name]
    index = "--no-index " if has_wheels else ""
    tools = () if has_wheels else image.tools
    lines = [
        f"ARG BASE={base}",
        "FROM ${BASE} AS build",
        "ARG PIP_INDEX_URL",
        *_installed(tools),
        "COPY requirements.txt /src/requirements.txt",
        "COPY wheels /src/wheels",
        "RUN python3 -m venv /opt/llmops \\",
        f" && {PIP_INSTALL} {index}-r /src/requirements.txt",
        "COPY workers /opt/llmops/workers",
        *_package(name),
        f"RUN {BILL} > /opt/llmops/sbom.cdx.json",
        "RUN /opt/llmops/bin/pip uninstall -y pip setuptools \\",
        " && /opt/llmops/bin/python -m compileall -q /opt/llmops || true",
        "",
        "FROM ${BASE}",
        *_installed(image.libraries),
        "COPY --from=build /opt/llmops /opt/llmops",
        f"RUN groupadd --gid {USER} llmops",
        f"RUN useradd --uid {USER} --gid {USER} {NO_LOGIN} llmops",
        f"RUN install -d -o {USER} -g {USER} /var/lib/llmops /models",
        "ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1",
        "ENV HOME=/tmp LLMOPS_STATE_DIR=/var/lib/llmops",
        *_labels(image, digest),
        f"USER {USER}:{USER}",
        f"EXPOSE {image.port}",
        f"ENTRYPOINT {_json(image.entry)}",
    ]
    return "\n".join(lines) + "\n"


def _installed(packages: tuple[str, ...]) -> list[str]:
    if not packages:
        return []
    return [
        "RUN apt-get update \\",
        f" && apt-get install -y --no-install-recommends {' '.join(packages)} \\",
        " && rm -rf /var/lib/apt/lists/*",
    ]


def _package(name: str) -> list[str]:
    """The gateway is the package itself, beside the libraries that it imports."""
    if name != "gateway":
        return []
    return [
        "COPY llmops_cli /src/llmops_cli",
        "COPY recipes /src/llmops_cli/_recipes",
        (
            "RUN cp -r /src/llmops_cli "
            "\"$(/opt/llmops/bin/python -c 'import site; print(site.getsitepackages()[0])')/\""
        ),
    ]


def _labels(image: ImageKind, digest: str) -> list[str]:
    labels = {
        "org.opencontainers.image.title": image.title,
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.source": SOURCE,
        "org.opencontainers.image.revision": digest,
        SBOM_LABEL: "/opt/llmops/sbom.cdx.json",
    }
    return [f'LABEL {name}="{value}"' for name, value in labels.items()]


def _json(words: tuple[str, ...]) -> str:
    return msgspec.json.encode(words).decode()
