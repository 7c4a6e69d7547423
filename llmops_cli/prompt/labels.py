"""What tells prompts of one label apart: `support@VERSION`, and where they are alike, their places.

An improved prompt keeps its name, and a name in a table must mean one prompt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt_file.prompt import VERSION_CHARS
from llmops_cli.runtime.digests import digest_value


def told_apart(prompts: Sequence[PromptSource]) -> list[PromptSource]:
    """The same prompts, no two with one label. Raises: UsageError for one that is named twice."""
    by_version = _relabelled(prompts, lambda each: f"{each.label}@{_version(each)}")
    found = _relabelled(by_version, lambda each: f"{each.label} {each.where}")
    label, count = Counter(each.label for each in found).most_common(1)[0]
    if count > 1:
        raise UsageError(f"the prompt '{label}' is named {count} times", hint="name each once")
    return found


def _relabelled(
    prompts: Sequence[PromptSource],
    label: Callable[[PromptSource], str],
) -> list[PromptSource]:
    """Those whose label another has too, with a new one."""
    counts = Counter(each.label for each in prompts)
    found = []
    for each in prompts:
        if counts[each.label] == 1:
            found.append(each)
            continue
        name = each.name or each.label
        found.append(msgspec.structs.replace(each, label=label(each), name=name))
    return found


def _version(prompt: PromptSource) -> str:
    """A prompt file's own, else of all that decides what is asked."""
    if prompt.version:
        return prompt.version
    asked = [prompt.text, prompt.defaults, prompt.settings]
    return digest_value(asked).removeprefix("sha256:")[:VERSION_CHARS]
