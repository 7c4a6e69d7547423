"""What a run's outcomes hang on: a stage that was trained anew is another guard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from llmops_cli.guard.learnt.model import MODEL, SHIPPED
from llmops_cli.redteam.run_key import run_key


def test_a_policys_stage_is_part_of_the_guard(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    shutil.copytree(SHIPPED, stage)
    policy = tmp_path / "policy.yaml"
    entry = f'{{action: block, name: "learnt:{stage}"}}'
    policy.write_text(f"input: {{classifier: {entry}}}\n")
    before = run_key([], policy=str(policy), model={})
    assert run_key([], policy=str(policy), model={}) == before

    card = json.loads((stage / MODEL).read_text())
    (stage / MODEL).write_text(json.dumps(card | {"threshold": 9.0}))

    assert run_key([], policy=str(policy), model={}).guard != before.guard


def test_no_guard_has_no_key_and_the_shipped_one_has() -> None:
    assert not run_key([], policy=None, model={}).guard
    assert run_key([], policy="default", model={}).guard
