"""Grammars are made in another process: what ends it ends nobody's answer, and blocks no thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from _shared.grammar_making.apart import ARGV, GrammarProcess
from _shared.grammar_making.tasks import CallsTask, GbnfTask, GrammarTask, SchemaTask
from _shared.grammars.machine import Machine
from _shared.grammars.nodes import GrammarError, MakerEnded
from _shared.tools.layouts import HERMES, Tool
from llmops_cli.runtime.paths import WORKERS
from tests.unit.workers._shared.grammars.walks import allows

NUMBER = SchemaTask({"type": "integer", "minimum": 5, "maximum": 7})
CALL = CallsTask([Tool("add", {"type": "object"})], HERMES, has_several=False)
COMPILERS = {f"_shared.grammars.{name}" for name in ("schemas", "gbnf", "assembling", "factoring")}
USES = """
import sys
sys.path.insert(0, sys.argv[1])
import llamacpp.server.api
from _shared.grammar_making.apart import ARGV, GrammarProcess
from _shared.grammar_making.tasks import CallsTask, GbnfTask, SchemaTask
from _shared.tools.layouts import HERMES, Tool
maker = GrammarProcess()
unique = {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": "^a+$"}}
for task in (SchemaTask(unique), GbnfTask('root ::= "a"')):
    assert maker.make(task).start
assert maker.make(CallsTask([Tool("f", {})], HERMES, False)).start
maker.close()
print(*sys.modules)
"""


@pytest.fixture
def maker() -> Iterator[GrammarProcess]:
    maker = GrammarProcess()
    yield maker
    maker.close()


def stopped(maker: GrammarProcess) -> int:
    """Its process, which will never answer."""
    maker.start()
    assert maker.pid is not None
    os.kill(maker.pid, signal.SIGSTOP)
    return maker.pid


@pytest.mark.parametrize(
    ("task", "good", "bad"),
    [
        (NUMBER, "6", "8"),
        (GbnfTask('root ::= "a"+'), "aaa", "b"),
        (CALL, '{"name": "add", "arguments": {}}\n</tool_call>', "add"),
    ],
    ids=["schema", "gbnf", "calls"],
)
def test_a_grammar_comes_from_another_process(
    maker: GrammarProcess, task: GrammarTask, good: str, bad: str
) -> None:
    machine = maker.make(task)
    assert allows(machine, good)
    assert not allows(machine, bad)
    assert maker.pid not in (None, os.getpid())


def test_the_process_stays_after_a_refusal(maker: GrammarProcess) -> None:
    maker.make(NUMBER)
    pid = maker.pid
    with pytest.raises(GrammarError, match="unevaluatedItems"):
        maker.make(SchemaTask({"unevaluatedItems": False}))
    maker.make(NUMBER)
    assert maker.pid == pid


def test_another_process_takes_over_from_one_that_was_killed(maker: GrammarProcess) -> None:
    maker.start()
    first = maker.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert allows(maker.make(NUMBER), "5")
    assert maker.pid != first


def test_a_task_is_made_anew_if_its_process_is_killed_over_it(maker: GrammarProcess) -> None:
    pid = stopped(maker)
    made: list[Machine] = []
    thread = threading.Thread(target=lambda: made.append(maker.make(NUMBER)))
    thread.start()
    time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    thread.join(30)
    assert allows(made[0], "5")


def test_what_cannot_be_sent_disturbs_nobody_after_it(maker: GrammarProcess) -> None:
    deep: dict[str, object] = {}
    for _ in range(20_000):
        deep = {"items": deep}
    with pytest.raises((GrammarError, RecursionError)):
        maker.make(SchemaTask(deep))
    assert allows(maker.make(NUMBER), "5")


def test_closing_ends_what_is_being_made(maker: GrammarProcess) -> None:
    stopped(maker)
    failures: list[str] = []

    def make() -> None:
        with pytest.raises(GrammarError) as refused:
            maker.make(NUMBER)
        failures.append(str(refused.value))

    thread = threading.Thread(target=make)
    thread.start()
    time.sleep(0.05)
    maker.close()
    thread.join(30)
    assert failures == ["it ends what makes grammars"]


def test_who_is_given_up_makes_room_for_the_next(maker: GrammarProcess) -> None:
    pid = stopped(maker)
    failures: list[str] = []

    def make() -> None:
        with pytest.raises(MakerEnded) as refused:
            maker.make(NUMBER)
        failures.append(str(refused.value))

    thread = threading.Thread(target=make)
    thread.start()
    time.sleep(0.05)
    maker.give_up(CALL)
    thread.join(0.1)
    assert thread.is_alive(), "that is another's"
    maker.give_up(NUMBER)
    thread.join(30)
    assert failures
    assert allows(maker.make(NUMBER), "5")
    assert maker.pid != pid


class _Argv(list[str]):
    """Read once, while a process is started with it: `then` is what happens meanwhile."""

    then: Callable[[], None]

    def __iter__(self) -> Iterator[str]:
        self.then()
        return super().__iter__()


def test_what_is_given_up_while_the_process_starts_is_not_made() -> None:
    argv = _Argv(ARGV)
    maker = GrammarProcess(argv)
    argv.then = partial(maker.give_up, NUMBER)
    with pytest.raises(MakerEnded):
        maker.make(NUMBER)
    argv.then = lambda: None
    assert allows(maker.make(NUMBER), "5")
    maker.close()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGPROF)", "it takes too long to be made"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "it ends what makes grammars"),
        ("", "it ends what makes grammars"),
    ],
    ids=["time", "crash", "end"],
)
def test_a_task_that_ends_every_process_is_refused(program: str, reason: str) -> None:
    maker = GrammarProcess(argv=(sys.executable, "-S", "-c", program))
    with pytest.raises(GrammarError, match=reason) as refused:
        maker.make(NUMBER)
    maker.close()
    assert isinstance(refused.value, MakerEnded) == (reason == "it ends what makes grammars")


def test_the_process_ends_with_whoever_asked() -> None:
    """Its only bond is the pipe, which the system closes whatever ends the other side."""
    maker = GrammarProcess()
    maker.make(NUMBER)
    process = maker._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 0
    maker.close()


def test_the_server_imports_nothing_that_makes_grammars() -> None:
    """What is not there cannot hold the interpreter that answers."""
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    argv = [sys.executable, "-c", USES, str(WORKERS)]
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    modules = set(run.stdout.split())
    assert "_shared.grammars.machine" in modules
    assert not COMPILERS & modules
