"""Partial solutions as a tree: the model proposes next steps and rates where they lead.

Breadth first keeps the best of each level; depth first follows the best and leaves what is rated
hopeless. Both end at a full solution that is rated well, and at their limits of depth and calls.
Source: Yao et al., arXiv:2305.10601.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import msgspec

from llmops_cli.prompt.answers.form import MARKER, STRICTLY_MARKED, Reading, read_answer
from llmops_cli.prompt.techniques.asking import asked
from llmops_cli.prompt.techniques.technique import (
    Ask,
    Example,
    Solution,
    Spent,
    TechniqueSettings,
)

PROPOSE = """Steps so far:
{steps}

Propose up to {breadth} different next steps, each on a line of its own that begins with `- `.
A step that completes the solution is the line `- {marker} ...`."""
RATE = """Steps so far:
{steps}

Can these steps still lead to the right answer? Think it through briefly, then write a last line
that is one word: sure, likely or impossible."""
NO_STEPS = "(none)"
RATINGS = {"sure": 20.0, "likely": 1.0, "impossible": 0.001}
"""As the paper's own program weighs them."""
RATED = re.compile(r"\b(sure|likely|impossible)\b", re.IGNORECASE)
PROPOSED = re.compile(r"^[ \t]*(?:[-*]|\d+[.)])[ \t]+(?P<step>\S.*?)[ \t]*$", re.MULTILINE)
HOPELESS = 0.01
"""A mean rating below it is not followed."""
GOOD = 10.0
"""A full solution rated at least so ends a search by depth."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A partial solution. `is_full`: its last step is an answer."""

    steps: tuple[str, ...] = ()
    rating: float = RATINGS["likely"]

    @property
    def is_full(self) -> bool:
        return bool(self.steps) and STRICTLY_MARKED.fullmatch(self.steps[-1]) is not None

    @property
    def text(self) -> str:
        return "\n".join(self.steps)


class TreeOfThoughts:
    """Calls: one a node that is opened, and `ratings` a node that is made."""

    def __init__(self, settings: TechniqueSettings) -> None:
        self._settings = settings

    async def prepare(self, ask: Ask) -> Sequence[Example]:
        return ()

    async def solve(self, question: str, ask: Ask) -> Solution:
        tree = _Tree(self._settings, question, ask)
        try:
            if self._settings.search == "breadth":
                await tree.by_breadth()
            else:
                await tree.by_depth(Node(), 0)
        except Spent:
            tree.trace.append("no more calls")
        return tree.solution()


class _Tree:
    """One question's search."""

    def __init__(
        self,
        settings: TechniqueSettings,
        question: str,
        ask: Ask,
    ) -> None:
        self._settings = settings
        self._question = question
        self._ask = ask
        self._full: list[Node] = []
        self._seen: set[tuple[str, ...]] = set()
        self.trace: list[str] = []

    async def by_breadth(self) -> None:
        """Level after level, until one has no partial solutions left to open."""
        level = [Node()]
        for _ in range(self._settings.depth):
            grown = await asyncio.gather(*map(self._children, level), return_exceptions=True)
            children = [node for each in grown if isinstance(each, list) for node in each]
            self._full += [node for node in children if node.is_full]
            _raise_first(grown)
            hopeful = [node for node in children if not node.is_full and node.rating >= HOPELESS]
            hopeful.sort(key=lambda node: -node.rating)
            level = hopeful[: self._settings.keep]
            self.trace += [f"kept {node.rating:g}: {node.text}" for node in level]
            if not level or any(node.rating >= GOOD for node in self._full):
                return

    async def by_depth(self, node: Node, depth: int) -> bool:
        """Whether a full solution that is rated well was found below."""
        if depth >= self._settings.depth:
            return False
        children = await self._children(node)
        for child in sorted(children, key=lambda each: -each.rating):
            if child.rating < HOPELESS:
                self.trace.append(f"left {child.rating:g}: {child.text}")
                continue
            if child.is_full:
                self._full.append(child)
                if child.rating >= GOOD:
                    return True
                continue
            self.trace.append(f"opened {child.rating:g}: {child.text}")
            if await self.by_depth(child, depth + 1):
                return True
        return False

    async def _children(self, node: Node) -> list[Node]:
        steps = [step for step in await self._proposed(node) if self._is_new(step)]
        rated = await asyncio.gather(*map(self._rated, steps), return_exceptions=True)
        found = []
        for child, rating in zip(steps, rated, strict=True):
            if isinstance(rating, BaseException):
                self._keep_full(steps)
                raise rating
            found.append(Node(steps=child, rating=rating))
        return found

    def _keep_full(self, children: Sequence[tuple[str, ...]]) -> None:
        """What was proposed when the calls ended still counts, at the rating of the unrated."""
        nodes = [Node(steps=steps) for steps in children]
        self._full += [node for node in nodes if node.is_full]

    def _is_new(self, steps: tuple[str, ...]) -> bool:
        if steps in self._seen:
            return False
        self._seen.add(steps)
        return True

    async def _proposed(self, node: Node) -> list[tuple[str, ...]]:
        instruction = PROPOSE.format(
            steps=node.text or NO_STEPS, breadth=self._settings.breadth, marker=MARKER
        )
        said = await self._ask(asked(self._settings, self._question, instruction=instruction))
        steps = [match["step"] for match in PROPOSED.finditer(said.text)]
        wanted = list(dict.fromkeys(steps))[: self._settings.breadth]
        return [(*node.steps, step) for step in wanted]

    async def _rated(self, steps: tuple[str, ...]) -> float:
        """The mean of so many ratings; a rating that says nothing counts as likely."""
        instruction = RATE.format(steps="\n".join(steps))
        messages = asked(self._settings, self._question, instruction=instruction)
        count = self._settings.ratings
        temperature = self._settings.sampling_temperature if count > 1 else None
        total = 0.0
        for number in range(count):
            said = await self._ask(
                messages, temperature=temperature, repeat=number, as_evaluator=True
            )
            words = RATED.findall(said.text)
            total += RATINGS[words[-1].lower()] if words else RATINGS["likely"]
        return total / count

    def solution(self) -> Solution:
        """The full solution that is rated best, the first of equal ones."""
        best = max(self._full, key=lambda node: node.rating, default=None)
        if best is None:
            return Solution(reading=Reading(), text="", trace=tuple(self.trace))
        self.trace.append(f"chose {best.rating:g}: {best.text}")
        reading = read_answer(self._settings.form, best.steps[-1])
        return Solution(reading=reading, text=best.text, trace=tuple(self.trace))


def _raise_first(grown: Sequence[list[Node] | BaseException]) -> None:
    """Raises: the first failure among them."""
    for each in grown:
        if isinstance(each, BaseException):
            raise each
