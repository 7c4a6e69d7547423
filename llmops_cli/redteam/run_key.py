"""What a run's outcomes hang on, kept beside them: a resumed run adds no others to them.

The recipe names a suite and a policy; here is what was in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.calls import pasted
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.guard.models import stage_digests
from llmops_cli.guard.policy import DEFAULT, load_policy
from llmops_cli.redteam.attempts import Attempt
from llmops_cli.runtime.digests import digest_file, digest_value
from llmops_cli.runtime.files import to_json, write_atomic

KEY = "key.json"
OURS = "default"
WORDS = {
    "attempts": "its suite makes other attempts now",
    "guard": "the guard's policy is another one now",
    "model": "the model's files are others now",
}
"""What is said of a part that differs."""


class RunKey(msgspec.Struct, frozen=True, kw_only=True):
    """Digests of the attempts as they are drawn, of the guard's policy and the model's files."""

    attempts: str
    guard: str = ""
    model: str = ""


def run_key(
    attempts: Sequence[Attempt],
    *,
    policy: str | None,
    model: Mapping[str, str],
) -> RunKey:
    """`policy` is as in a recipe: none, `default`, or a file. `model`: digests of its files."""
    return RunKey(
        attempts=digest_value(msgspec.to_builtins(list(attempts))),
        guard=_guard_key(policy) if policy else "",
        model=digest_value(dict(model)) if model else "",
    )


def _guard_key(policy: str) -> str:
    """The policy's file, and the stages that it asks: those are other files."""
    if policy == OURS:
        return digest_value([policy, stage_digests(DEFAULT)])
    path = Path(policy)
    return digest_value([digest_file(path), stage_digests(load_policy(path))])


def require_same(folder: Path, key: RunKey, progress: Progress) -> None:
    """Keeps the key of a new run.

    Raises: UsageError where the outcomes that the folder holds are of something else.
    """
    path = folder / KEY
    kept = _kept(path)
    if kept is None:
        write_atomic(path, to_json(key))
        return
    for part, words in WORDS.items():
        if getattr(kept, part) != getattr(key, part):
            recipe = pasted(folder / "recipe.json")
            raise UsageError(
                f"{folder} cannot go on: {words}",
                hint=f"put it back, or begin anew: --recipe {recipe} -o ANOTHER",
            )
    progress.say(f"goes on in {folder}")


def _kept(path: Path) -> RunKey | None:
    """None for a new run; one of an older version has no key and takes the present one."""
    if not path.is_file():
        return None
    raw = path.read_bytes()
    try:
        return msgspec.json.decode(raw, type=RunKey)
    except UNREADABLE:
        raise UsageError(f"{path} cannot be read: {wrong_in(raw, RunKey)}") from None
