"""What must not be: images that move, rights, memory without bound, secrets in a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llmops_cli.deploy.cluster_names import is_floating
from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.lint.finding import Finding, Found, containers_in, pods_in
from llmops_cli.deploy.secrets import URL_PASSWORD, is_secret, texts_in

SECRET_VARIABLE = re.compile(r"(?i)(^|_)(password|passwd|secret|token|(api|access|secret)_?key)$")
NO_SECRET = re.compile(
    r"/[^\n]*|true|false|yes|no|on|off|[01]|empty|none|<[^>\n]*>|\$\([A-Za-z0-9_]+\)",
    re.IGNORECASE,
)
"""A file's path, a switch, that there is none, a token of a tokenizer, another variable's value."""
OF_QUERIES = ("PrometheusRule",)
"""Names of metrics, `llmops_gateway_...`, look like keys of ours."""


def unsafe(objects: Sequence[Found]) -> Iterator[Finding]:
    for found in objects:
        if found.kind == "Secret" and (found.value.get("data") or found.value.get("stringData")):
            yield found.wrong("secret", "a Secret with values stands in a file")
        yield from _secrets(found)
        for pod in pods_in(found):
            for container in containers_in(pod):
                yield from _container(found, pod, container)


def _container(
    found: Found,
    pod: Manifest,
    container: Manifest,
) -> Iterator[Finding]:
    name = container.get("name")
    image = str(container.get("image", ""))
    if is_floating(image):
        yield found.wrong("floating-tag", f"image {image!r} can be another one tomorrow")
    own = container.get("securityContext") or {}
    above = (pod.get("spec") or {}).get("securityContext") or {}
    if not (own.get("runAsNonRoot") or above.get("runAsNonRoot")):
        yield found.wrong("security", f"container {name} may run as root")
    if own.get("allowPrivilegeEscalation") is not False:
        yield found.wrong("security", f"container {name} may get more rights than it has")
    if own.get("privileged"):
        yield found.wrong("security", f"container {name} is privileged")
    if not own.get("readOnlyRootFilesystem"):
        yield found.wrong("security", f"container {name} may write everywhere")
    if not (container.get("resources") or {}).get("requests"):
        yield found.wrong("resources", f"container {name} asks for nothing")
    for variable in container.get("env") or []:
        if _is_written(variable):
            yield found.wrong("secret", f"the value of {variable['name']} stands in a file")


def _is_written(variable: Manifest) -> bool:
    """Whether a variable that is called as secrets are has a value, and no other's."""
    value = str(variable.get("value") or "")
    is_secrets = SECRET_VARIABLE.search(str(variable.get("name", ""))) is not None
    return is_secrets and bool(value) and not NO_SECRET.fullmatch(value)


def _secrets(found: Found) -> Iterator[Finding]:
    for text in texts_in(found.value):
        is_query = found.kind in OF_QUERIES
        if URL_PASSWORD.search(text) or (not is_query and is_secret(text)):
            yield found.wrong("secret", "holds what looks like a secret")
            return
