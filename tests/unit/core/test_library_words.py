"""What a parser or Python says of a value is never shown: it is told in the user's own terms.

By construction: whoever catches such an error may not put it into a text. What the text is instead
comes from `core.misfit`, `core.wrong_json` and `runtime.yaml_text`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import llmops_cli

ROOT = Path(llmops_cli.__file__).parent
SERVERS = ("workers/llamacpp/server", "workers/_openai", "workers/_shared/http1.py")
"""Of the workers those whose texts reach a client."""
PARSERS = frozenset(
    {
        "DecodeError",
        "ValidationError",
        "MsgspecError",
        "JSONDecodeError",
        "YAMLError",
        "MarkedYAMLError",
        "UnicodeDecodeError",
        "UnicodeError",
        "ArrowInvalid",
        "ArrowException",
    }
)
PYTHON = frozenset({"KeyError", "IndexError", "LookupError", "TypeError", "AttributeError"})
TRANSLATORS = frozenset({"reason_of", "fault_of", "_no_yaml", "isinstance", "type"})
ALLOWED = {
    "prompt/templates.py": "Jinja's words are about the user's own template",
    "workers/llamacpp/server/chat.py": "likewise, of the model's",
    "runtime/imports.py": "why a library cannot be imported is the library's to say",
    "serve/answers/dialects/messages_stream.py": "our own words, raised as ValueError",
}


def files() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        is_shown = not name.startswith("workers/") or name.startswith(SERVERS)
        if is_shown and name not in ALLOWED:
            yield path


def names_in(node: ast.expr, known: dict[str, set[str]]) -> set[str]:
    """The classes that an `except` catches, those of a named tuple of them too."""
    if isinstance(node, ast.Tuple):
        return set().union(*(names_in(each, known) for each in node.elts))
    if isinstance(node, ast.Starred):
        return names_in(node.value, known)
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return {name} | known.get(name, set())


def named_tuples(tree: ast.Module, known: dict[str, set[str]]) -> dict[str, set[str]]:
    """Those that a module has a name for, by that name."""
    found: dict[str, set[str]] = {}
    for line in tree.body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Tuple):
            for target in line.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = names_in(line.value, known)
    return found


def all_named_tuples(trees: Iterable[ast.Module]) -> dict[str, set[str]]:
    """A name that several modules give stands for what any of them means."""
    known: dict[str, set[str]] = {}
    for tree in trees:
        for name, caught in named_tuples(tree, known).items():
            known.setdefault(name, set()).update(caught)
    return known


def shown_in(tree: ast.Module, known: dict[str, set[str]]) -> Iterator[int]:
    """Lines on which a caught error becomes a text."""
    known = {**known, **named_tuples(tree, known)}
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or not handler.name or not handler.type:
            continue
        if not names_in(handler.type, known) & (PARSERS | PYTHON):
            continue
        for node in ast.walk(handler):
            values: list[ast.expr] = []
            if isinstance(node, ast.FormattedValue):
                values = [node.value]
            elif isinstance(node, ast.Call):
                called = node.func
                name = getattr(called, "attr", getattr(called, "id", ""))
                values = [] if name in TRANSLATORS else list(node.args)
            if any(isinstance(value, ast.Name) and value.id == handler.name for value in values):
                yield node.lineno  # type: ignore[attr-defined]


def test_no_caught_error_of_a_parser_becomes_a_text() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files()}
    known = all_named_tuples(trees.values())
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path, tree in trees.items()
        for line in shown_in(tree, known)
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "except msgspec.DecodeError as e:\n raise UsageError(f'{path}: {e}')",
        "except (OSError, *UNREADABLE) as e:\n reason = str(e)",
        "except WRONG as e:\n LOG.warning('%s', e)",
        "except KeyError as e:\n SHOWN['table'](e)",
        "except KeyError as e:\n shown_by(console)(e)",
    ],
)
def test_the_rule_finds_each_way_to_show_one(code: str) -> None:
    source = f"WRONG = (KeyError, OSError)\nUNREADABLE = (ValidationError,)\ntry:\n f()\n{code}\n"
    tree = ast.parse(source)
    assert list(shown_in(tree, {}))


def test_what_is_allowed_is_there() -> None:
    for name in ALLOWED:
        assert (ROOT / name).is_file()
