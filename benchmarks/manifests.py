"""Rendered manifests against the schemas of who made their kinds, as npm packages have them.

    npm install --prefix DIR kubernetes-models js-yaml @kubernetes-models/gateway-api \\
        @kubernetes-models/keda @kubernetes-models/prometheus-operator
    python -m benchmarks.manifests DIR

Kinds that none of the packages has are named. Exit 1 if an object does not fit.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import yaml

from llmops_cli.deploy.recipe import RenderRecipe
from llmops_cli.deploy.render import render

GATEWAY = """
upstreams:
  chat: {engine: llamacpp, model: ./m.gguf, replicas: 2, max_in_flight: 64, options: {threads: 2}}
  big: {engine: vllm, model: meta/big, options: {tensor_parallel: 8, pipeline_parallel: 2}}
  hosted: {url: https://api.example.com/v1, key_env: HOSTED_KEY}
models:
  assistant: {pool: [{upstream: chat, model: ./m.gguf}, hosted]}
  large: {pool: [{upstream: big, model: meta/big}]}
guard: default
"""
VARIANTS: dict[str, dict[str, object]] = {
    "both ways in": {"route": "both"},
    "one gateway": {"replicas": 1},
    "models of the host": {"models": "host:/models", "budget_dollars": 1000.0},
    "kserve": {"target": "kserve"},
}
GROUPS = {
    "gateway.networking.k8s.io": "@kubernetes-models/gateway-api/",
    "keda.sh": "@kubernetes-models/keda/",
    "monitoring.coreos.com": "@kubernetes-models/prometheus-operator/",
}
CHECK = """
import { readFileSync } from "node:fs";
const answers = [];
for (const [place, object] of JSON.parse(readFileSync(0, "utf8"))) {
  let module;
  try { module = await import(place); } catch (error) {
    answers.push("no schema"); continue;
  }
  const { apiVersion, kind, ...fields } = object;
  try { new module[kind](fields).validate(); answers.push(""); } catch (error) {
    answers.push(String(error.message));
  }
}
console.log(JSON.stringify(answers));
"""


def objects_of(fields: dict[str, object], folder: Path) -> list[dict[str, object]]:
    """Of manifests, overlays and monitoring; charts are templates, and the same objects."""
    config = folder / "gateway.yaml"
    config.write_text(GATEWAY)
    recipe = RenderRecipe(config=str(config), **fields)  # type: ignore[arg-type]
    found = []
    for name, raw in render(recipe).files.items():
        is_object = name.endswith(".yaml") and not name.startswith(("chart/", "monitoring/rules"))
        if not is_object or name.endswith("kustomization.yaml"):
            continue
        for value in yaml.safe_load_all(raw):
            if isinstance(value, dict) and "apiVersion" in value:
                found.append(value)
    return found


def place_of(value: dict[str, object]) -> str:
    """The module of its group and version."""
    version = str(value["apiVersion"])
    group = version.partition("/")[0]
    package = GROUPS.get(group, "kubernetes-models/")
    return f"{package}{version}"


def checked(objects: list[dict[str, object]], modules: Path) -> list[str]:
    """What is wrong with each; empty if nothing is."""
    asked = json.dumps([[place_of(value), value] for value in objects])
    ended = subprocess.run(
        ["node", "--input-type=module", "-e", CHECK],
        input=asked,
        cwd=modules,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answers: list[str] = json.loads(ended.stdout)
    return answers


def main() -> int:
    modules = Path(sys.argv[1])
    wrong = 0
    fitting: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for name, fields in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            objects = objects_of(fields, Path(folder))
        for value, answer in zip(objects, checked(objects, modules), strict=True):
            kind = f"{value['apiVersion']} {value['kind']}"
            if answer == "no schema":
                unknown[kind] += 1
            elif answer:
                wrong += 1
                print(f"{name}: {kind} {value['metadata']}: {answer}")
            else:
                fitting[kind] += 1
    for kind, count in sorted(fitting.items()):
        print(f"{count:4}  {kind}")
    for kind, count in sorted(unknown.items()):
        print(f"{count:4}  {kind}: no schema here")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
