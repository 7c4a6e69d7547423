"""A task's grammar, made where this is called."""

from _shared.grammar_making.tasks import CallsTask, GbnfTask, GrammarTask
from _shared.grammars.assembling import machine_of
from _shared.grammars.gbnf import parse_gbnf
from _shared.grammars.machine import Machine
from _shared.grammars.schemas import rules_of
from _shared.tools.calls_grammar import rules_of_calls


def made_here(task: GrammarTask) -> Machine:
    """Raises: GrammarError."""
    if isinstance(task, GbnfTask):
        return machine_of(parse_gbnf(task.text))
    if isinstance(task, CallsTask):
        return machine_of(rules_of_calls(task.tools, task.layout, has_several=task.has_several))
    return machine_of(rules_of(task.schema))
