"""Files of rows, and runs over them against a server in this process."""

from __future__ import annotations

import json
from pathlib import Path

from llmops_cli.core.progress import Silent
from llmops_cli.generate.recipe import GenerateRecipe
from llmops_cli.generate.report import GenerateReport
from llmops_cli.generate.run import generate
from llmops_cli.runtime.runs import RunFolder

Rows = list[dict[str, object]]


def write_rows(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def batch_row(number: int, *, model: str | None = "m", **body: object) -> dict[str, object]:
    asked = {"messages": [{"role": "user", "content": f"question {number}"}], **body}
    if model is not None:
        asked["model"] = model
    return {
        "custom_id": f"row-{number}",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": asked,
    }


def read_rows(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_batch(
    source: Path,
    output: Path,
    url: str,
    *,
    retry_errors: bool = False,
    overwrite: bool = False,
    **fields: object,
) -> GenerateReport:
    settings = {"concurrency": 4, "retries": 0, **fields}
    recipe = GenerateRecipe(input=str(source), url=url, backend="remote", **settings)  # type: ignore[arg-type]
    return generate(
        recipe,
        {},
        output=output,
        folder=RunFolder("generate", "test", chosen=output.parent / "run"),
        retry_errors=retry_errors,
        overwrite=overwrite,
        progress=Silent(),
    )
