"""Techniques by name; other packages add theirs as entry points of `llmops.techniques`."""

from __future__ import annotations

from typing import cast

from llmops_cli.core.names import load_named
from llmops_cli.prompt.techniques.technique import MakesTechnique

TECHNIQUES = {
    "zero-shot": "llmops_cli.prompt.techniques.zero_shot:ZeroShot",
    "few-shot": "llmops_cli.prompt.techniques.few_shot:FewShot",
    "cot": "llmops_cli.prompt.techniques.cot:ChainOfThought",
    "auto-cot": "llmops_cli.prompt.techniques.auto_cot:AutoChainOfThought",
    "self-consistency": "llmops_cli.prompt.techniques.self_consistency:SelfConsistency",
    "react": "llmops_cli.prompt.techniques.react:React",
    "tree-of-thoughts": "llmops_cli.prompt.techniques.tree_of_thoughts:TreeOfThoughts",
    "reflect": "llmops_cli.prompt.techniques.reflect:Reflect",
}
"""Name -> "module:object" that makes a technique of its settings."""
GROUP = "llmops.techniques"


def technique_maker(name: str) -> MakesTechnique:
    """Raises: UsageError for a name that nobody provides."""
    return cast(MakesTechnique, load_named("technique", name, TECHNIQUES, GROUP))
