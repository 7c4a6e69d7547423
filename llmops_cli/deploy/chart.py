"""A Helm chart of the same objects, whose templates do nothing but put values in their places.

Its namespace is made beside it, as Helm wants it, and is that of the rendering.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from llmops_cli import __version__
from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.knob import Knob, Manifest, knobs_in, plain
from llmops_cli.deploy.kubernetes.render import applied
from llmops_cli.deploy.setting import Setting
from llmops_cli.deploy.yaml_writer import as_yaml, documents

NAMESPACE = "namespace.yaml"
OPENING = "{{"
ESCAPED = '{{ "{{" }}'
"""What Helm writes as two braces."""
MARK = "\0"
"""Around a path until braces of others are escaped; no text of YAML has it."""
_MARKED = re.compile(f"{MARK}([^{MARK}]*){MARK}")


def chart_files(setting: Setting, objects: Mapping[str, list[Manifest]]) -> dict[str, str]:
    """`objects`: file -> what stands in it."""
    names = [name for name in applied(setting, list(objects)) if name != NAMESPACE]
    knobs = [knob for name in names for knob in knobs_in(objects[name])]
    files = {
        "Chart.yaml": as_yaml(_chart(setting)),
        "values.yaml": as_yaml(values_of(knobs)),
    }
    for name in names:
        files[f"templates/{name}"] = template(objects[name])
    return {f"chart/{name}": text for name, text in files.items()}


def template(objects: list[Manifest]) -> str:
    """Each knob that has a path is a value of the chart."""
    text = documents(objects, spell=_spelled)
    return _MARKED.sub(r"{{ .Values.\1 }}", text.replace(OPENING, ESCAPED))


def values_of(knobs: list[Knob]) -> Manifest:
    """Path -> value, nested. Raises: UsageError where one name would be two values."""
    values: Manifest = {}
    for knob in knobs:
        *above, last = knob.path.split(".")
        place = values
        for step in above:
            place = place.setdefault(step, {})
        known = place.setdefault(last, knob)
        if plain(known) != plain(knob):
            raise UsageError(
                f"{knob.path} of the chart would be {plain(known)} and {plain(knob)}",
                hint="give the upstream another name",
            )
    return values


def _spelled(knob: Knob) -> str | None:
    if not knob.path:
        return None
    spelling = f"{MARK}{knob.path}{MARK}"
    return f'"{spelling}"' if isinstance(plain(knob), str) else spelling


def _chart(setting: Setting) -> Manifest:
    return {
        "apiVersion": "v2",
        "name": setting.name,
        "description": "A gateway for language models, and its engines",
        "type": "application",
        "version": __version__,
        "appVersion": __version__,
    }
