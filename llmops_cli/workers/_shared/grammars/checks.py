"""What is wrong with a grammar before it runs: rules without end, or that begin with themselves."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from _shared.grammars.nodes import (
    ROOT,
    Choice,
    Counted,
    GrammarError,
    Literal,
    Node,
    OneOf,
    Repeat,
    Rule,
    Rules,
    Sequence,
    children_of,
)

MOST_PASSES = 60
"""Each pass settles a whole chain of rules, so grammars that people write need very few."""


def reachable(rules: Rules) -> Rules:
    """The rules that the root needs. Raises: GrammarError for one that is not there."""
    found: Rules = {}
    waiting: list[Node] = [Rule(ROOT)]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Rule):
            waiting += children_of(node)
        elif node.name not in found:
            if node.name not in rules:
                raise GrammarError(f"the grammar has no rule {node.name!r}")
            found[node.name] = rules[node.name]
            waiting.append(found[node.name])
    return found


def finite_rules(rules: Rules) -> frozenset[str]:
    """Rules that some text of finite length fits. Raises: GrammarError."""
    return settled(rules, is_finite)


def nullable_rules(rules: Rules) -> frozenset[str]:
    """Rules that an empty text fits. Raises: GrammarError."""
    return settled(rules, is_nullable)


def settled(
    rules: Rules,
    holds: Callable[[Node, AbstractSet[str]], bool],
) -> frozenset[str]:
    """The names for which it holds, given all names for which it holds."""
    found: set[str] = set()
    names = [*rules]
    for _ in range(MOST_PASSES):
        before = len(found)
        names.reverse()
        for name in names:
            if name not in found and holds(rules[name], found):
                found.add(name)
        if len(found) == before:
            return frozenset(found)
    raise GrammarError("the grammar's rules refer to one another in too long a chain")


def is_finite(node: Node, finite: AbstractSet[str]) -> bool:
    if isinstance(node, Rule):
        return node.name in finite
    if isinstance(node, OneOf):
        return bool(node.chars)
    if isinstance(node, Sequence):
        return all(is_finite(part, finite) for part in node.parts)
    if isinstance(node, Choice):
        return any(is_finite(option, finite) for option in node.options)
    if isinstance(node, Repeat):
        return node.least == 0 or is_finite(node.part, finite)
    return True


def is_nullable(node: Node, nullable: AbstractSet[str]) -> bool:
    if isinstance(node, Rule):
        return node.name in nullable
    if isinstance(node, Literal):
        return not node.text
    if isinstance(node, OneOf | Counted):
        return False
    if isinstance(node, Sequence):
        return all(is_nullable(part, nullable) for part in node.parts)
    if isinstance(node, Choice):
        return any(is_nullable(option, nullable) for option in node.options)
    return node.least == 0 or is_nullable(node.part, nullable)


def check_left_recursion(rules: Rules) -> None:
    """Raises: GrammarError for a rule that can begin with itself: it would call itself for ever."""
    nullable = nullable_rules(rules)
    done: set[str] = set()
    for name in rules:
        check_beginning(name, rules, nullable, done)


def check_beginning(
    name: str,
    rules: Rules,
    nullable: frozenset[str],
    done: set[str],
) -> None:
    """Depth first without recursion: a grammar may have thousands of rules in a chain."""
    path: dict[str, list[str]] = {}
    waiting = [name]
    while waiting:
        current = waiting[-1]
        if current in done:
            waiting.pop()
            continue
        if current not in path:
            path[current] = first_rules(rules[current], nullable)
        if not path[current]:
            path.pop(current)
            done.add(current)
            waiting.pop()
            continue
        following = path[current].pop()
        if following in path:
            raise GrammarError(f"rule {following!r} of the grammar begins with itself")
        waiting.append(following)


def first_rules(node: Node, nullable: frozenset[str]) -> list[str]:
    """Rules with which a text of this node may begin."""
    if isinstance(node, Rule):
        return [node.name]
    if not isinstance(node, Sequence):
        return [name for child in children_of(node) for name in first_rules(child, nullable)]
    names: list[str] = []
    for part in node.parts:
        names += first_rules(part, nullable)
        if not is_nullable(part, nullable):
            break
    return names
