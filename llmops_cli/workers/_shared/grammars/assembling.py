"""Rules to the program of a machine: what takes time, and is done once for each grammar."""

from array import array
from typing import NamedTuple

from _shared.grammars.checks import check_left_recursion, finite_rules, is_finite, reachable
from _shared.grammars.factoring import factored
from _shared.grammars.machine import Machine
from _shared.grammars.nodes import (
    ROOT,
    Automaton,
    CharSet,
    Choice,
    CodeRange,
    Counted,
    GrammarError,
    Literal,
    Node,
    OneOf,
    Repeat,
    Rule,
    Rules,
    Sequence,
    chars_of,
)
from _shared.grammars.program import NO_MOST, Op, Program

MOST_INSTRUCTIONS = 60_000
MOST_TURNS = 1 << 62
"""Of a loop; no text is longer."""


class Instruction(NamedTuple):
    """`targets`: places to go on; of a loop its body and its exit, of AGAIN its loop."""

    op: Op
    targets: tuple[int, ...] = ()
    chars: CharSet | None = None
    automaton: Automaton | None = None
    least: int = 0
    most: int | None = None


def machine_of(rules: Rules) -> Machine:
    """Raises: GrammarError for a grammar that is too large, or that nothing fits."""
    machine = Machine(assemble(rules))
    _ = machine.start
    return machine


def assemble(rules: Rules) -> Program:
    """Raises: GrammarError for a grammar that is too large, or that nothing fits."""
    rules = reachable(factored(reachable(rules)))
    finite = finite_rules(rules)
    if ROOT not in finite:
        raise GrammarError("no text fits it")
    kept = {name: without_endless(node, finite) for name, node in rules.items() if name in finite}
    check_left_recursion(kept)
    writer = Writer()
    for name, node in kept.items():
        writer.write_rule(name, node)
    return writer.program()


def without_endless(node: Node, finite: frozenset[str]) -> Node:
    """The node without options that no text fits."""
    if isinstance(node, Sequence):
        return Sequence(tuple(without_endless(part, finite) for part in node.parts))
    if isinstance(node, Choice):
        options = [option for option in node.options if is_finite(option, finite)]
        return Choice(tuple(without_endless(option, finite) for option in options))
    if isinstance(node, Repeat):
        if not is_finite(node.part, finite):
            return Literal("")
        return Repeat(without_endless(node.part, finite), node.least, node.most)
    return node


class Writer:
    """Writes rules one after another and fills in their places at the end."""

    def __init__(self) -> None:
        self._code: list[Instruction] = []
        self._places: dict[str, int] = {}
        self._calls: list[tuple[int, str]] = []
        self._sets: dict[str, CharSet] = {}

    def write_rule(self, name: str, node: Node) -> None:
        self._places[name] = self._next
        self._write(node)
        self._add(Instruction(Op.RETURN))

    def program(self) -> Program:
        for place, name in self._calls:
            target = self._places[name]
            self._code[place] = self._code[place]._replace(targets=(target,))
        self._code = [self._straightened(each) for each in self._code]
        return packed(self._code, start=self._places[ROOT])

    def _straightened(self, instruction: Instruction) -> Instruction:
        """A jump to a jump goes where that one goes, so that calls at a rule's end are seen."""
        if instruction.op is not Op.JUMP or len(instruction.targets) != 1:
            return instruction
        seen = set()
        target = instruction.targets[0]
        while self._code[target].op is Op.JUMP and len(self._code[target].targets) == 1:
            if target in seen:
                break
            seen.add(target)
            target = self._code[target].targets[0]
        return instruction._replace(targets=(target,))

    @property
    def _next(self) -> int:
        return len(self._code)

    def _add(self, instruction: Instruction) -> int:
        if len(self._code) >= MOST_INSTRUCTIONS:
            raise GrammarError("the grammar is too large")
        self._code.append(instruction)
        return len(self._code) - 1

    def _write(self, node: Node) -> None:
        if isinstance(node, Literal):
            for char in node.text:
                self._add(Instruction(Op.CHAR, chars=self._set_of(char)))
        elif isinstance(node, OneOf):
            self._add(Instruction(Op.CHAR, chars=node.chars))
        elif isinstance(node, Counted):
            self._add(Instruction(Op.COUNT, automaton=node.automaton))
        elif isinstance(node, Rule):
            place = self._add(Instruction(Op.CALL))
            self._calls.append((place, node.name))
        elif isinstance(node, Sequence):
            for part in node.parts:
                self._write(part)
        elif isinstance(node, Choice):
            self._write_choice(node)
        else:
            self._write_repeat(node)

    def _set_of(self, char: str) -> CharSet:
        return self._sets.setdefault(char, chars_of(char))

    def _write_choice(self, node: Choice) -> None:
        fork = self._add(Instruction(Op.JUMP))
        starts = []
        ends = []
        for option in node.options:
            starts.append(self._next)
            self._write(option)
            ends.append(self._add(Instruction(Op.JUMP)))
        self._code[fork] = Instruction(Op.JUMP, tuple(starts))
        for end in ends:
            self._code[end] = Instruction(Op.JUMP, (self._next,))

    def _write_repeat(self, node: Repeat) -> None:
        if node.most == 0:
            return
        if node.least == 0 and node.most in (1, None):
            self._write_star(node.part, is_once=node.most == 1)
            return
        loop = self._add(Instruction(Op.LOOP))
        self._write(node.part)
        self._add(Instruction(Op.AGAIN, (loop,)))
        places = (loop + 1, self._next)
        self._code[loop] = Instruction(Op.LOOP, places, least=node.least, most=node.most)

    def _write_star(self, part: Node, *, is_once: bool) -> None:
        fork = self._add(Instruction(Op.JUMP))
        self._write(part)
        if not is_once:
            self._add(Instruction(Op.JUMP, (fork,)))
        self._code[fork] = Instruction(Op.JUMP, (fork + 1, self._next))


def packed(code: list[Instruction], *, start: int) -> Program:
    """The same instructions in columns."""
    columns = Columns()
    args = array("l", map(columns.argument, code))
    ops = bytes(each.op for each in code)
    return Program(start, ops, args, columns.lists, columns.sets, columns.automata)


class Columns:
    """What the instructions of a program refer to, equal sets once."""

    def __init__(self) -> None:
        self.lists = array("l")
        self.sets: list[CharSet] = []
        self.automata: list[Automaton] = []
        self._numbers: dict[tuple[CodeRange, ...], int] = {}

    def argument(self, instruction: Instruction) -> int:
        if instruction.chars is not None:
            return self._number_of(instruction.chars)
        if instruction.automaton is not None:
            self.automata.append(instruction.automaton)
            return len(self.automata) - 1
        if instruction.op is Op.JUMP:
            return self._listed(len(instruction.targets), *instruction.targets)
        if instruction.op is Op.LOOP:
            most = NO_MOST if instruction.most is None else min(instruction.most, MOST_TURNS)
            least = min(instruction.least, MOST_TURNS)
            return self._listed(*instruction.targets, least, most)
        return instruction.targets[0] if instruction.targets else 0

    def _number_of(self, chars: CharSet) -> int:
        number = self._numbers.setdefault(tuple(chars.ranges), len(self.sets))
        if number == len(self.sets):
            self.sets.append(chars)
        return number

    def _listed(self, *values: int) -> int:
        begin = len(self.lists)
        self.lists.extend(values)
        return begin
