"""Files that are no YAML: exit 2 with the line, whatever reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.cli.settings import resolved
from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.document import read_document
from llmops_cli.guard.policy import load_policy
from llmops_cli.pipeline.recipe import load_recipe
from llmops_cli.plan.devices import read_own
from llmops_cli.plan.profile import read_profile
from llmops_cli.prompt.case_file.lined import read_lined
from llmops_cli.prompt_file.read import read_prompt
from llmops_cli.redteam.suite import read_suite
from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml, reason_of
from llmops_cli.train.foreign.accelerate import read_accelerate

Read = Callable[[Path], object]
READERS: dict[str, Read] = {
    "recipe of bench": lambda path: resolved(BenchRecipe, {}, command="bench", file=path),
    "recipe of steps": load_recipe,
    "gateway": read_document,
    "cards": read_own,
    "hours": read_profile,
    "policy": load_policy,
    "suite": read_suite,
    "cases": read_lined,
    "accelerate": read_accelerate,
}
BROKEN = "a: 1\nb: [1, 2\nc: 3\n"
NO_DATE = "a: 1\nb: 2026-13-45\n"
DEEP = "a: " + "[" * 100_000 + "]" * 100_000
ENDLESS = "a: &a\n  b: [*a]\n"
NUL = "a: 1\nb: '\x00'\n"


@pytest.mark.parametrize("name", READERS)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(BROKEN)
    with pytest.raises(UsageError) as caught:
        READERS[name](path)
    said = caught.value.message
    assert "file.yaml" in said
    assert "line 3" in said or ":3" in said
    assert "while " not in said
    assert "<unicode string>" not in said
    assert len(said) < 200 + len(str(path))


@pytest.mark.parametrize(
    "name", [name for name in READERS if name != "cases"]
)  # whose YAML 1.2 has no dates
@pytest.mark.parametrize(
    "text", [NO_DATE, DEEP, NUL, ENDLESS], ids=["date", "deep", "nul", "endless"]
)
def test_what_a_parser_raises_besides_is_a_users_mistake_too(
    tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"file\.yaml"):
        READERS[name](path)


@pytest.mark.parametrize("text", [DEEP, NUL, ENDLESS], ids=["deep", "nul", "endless"])
def test_cases_too(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"file\.yaml"):
        read_lined(path)


def test_front_matter_counts_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "p.md"
    path.write_text(f"---\n{BROKEN}---\nsystem:\nx\n")
    with pytest.raises(UsageError, match=r"p\.md:4: "):
        read_prompt(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BROKEN, "line 3: "),
        (NO_DATE, "a date or a number that there is none of"),
        (DEEP, "nest"),  # PyYAML 6.0.4 says so itself
        (NUL, "a character that no YAML may hold"),
        (ENDLESS, "line 2: *a stands within what it names"),
    ],
)
def test_a_reason_is_one_line_of_the_readers_words(text: str, said: str) -> None:
    with pytest.raises(UNREADABLE) as caught:
        load_yaml(text)
    assert said in reason_of(caught.value)
    assert "\n" not in reason_of(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "{b: " * 100_000,
        "- " * 100_000 + "a",
        "? " * 100_000 + "a",
        "".join(f"{' ' * number}a:\n" for number in range(5_000)),
        ("[" * 100_000).encode("utf-16"),
    ],
    ids=["flow maps", "lists of lists", "keys of keys", "ever further in", "two bytes each"],
)
def test_no_nesting_ends_the_process(text: str | bytes) -> None:
    with pytest.raises(UNREADABLE):
        load_yaml(text)


def test_a_long_text_that_is_flat_is_read() -> None:
    line = "word [link](address) {brace} " * 2_000
    assert load_yaml(f"a: {line!r}\nb: [1, [2, [3]]]\n") == {"a": line, "b": [1, [2, [3]]]}
