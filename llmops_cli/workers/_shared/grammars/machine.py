"""Runs a grammar's program over text: all that is possible at once, one character after another.

Every step has a bound of work and every text a bound of nesting, so no grammar can hold up or end
the process that runs it: one that is too ambiguous is an error of its own generation.
"""

from _shared.grammars.nodes import CharSet, GrammarError
from _shared.grammars.program import Op, Program
from _shared.grammars.states import Frame, Index, State, Thread, listed_chars

DEEPEST = 400
"""Rules within rules. Past it an option is not offered, so an answer closes what it has opened."""
MOST_WORK_PER_PICK = 80_000
"""Places, threads and steps of automata that are looked at: about a microsecond each."""
TOO_AMBIGUOUS = "the grammar is too ambiguous for this text"
MOST_STEPS_WITHIN = 40
TOO_NESTED = "arrays of different items are nested too deep"
MOST_PLACES_PER_CHAR = 20_000
WORK_PER_PLACE = 3
MOST_THREADS = 4_096
MOST_KEPT_THREADS = 40_000
"""Of all states that are kept for the next time; beyond it they are made again.

More would be work for the garbage collector, which stops every thread.
"""
MOST_KEPT_FRAMES = 80_000


Here = tuple[int, Frame | None, int]
"""A place on the way to the next character, its frame, and how many frames were pushed since then.

No named type: a step makes dozens of them.
"""


class Machine:
    """One grammar, with all states that texts have led to so far. For one thread at a time."""

    def __init__(self, program: Program) -> None:
        """Its program may come later, but before the first text."""
        self.program = program
        self._first: State | None = None
        self._frames: dict[tuple[int, int, int], Frame] = {}
        self._states: dict[frozenset[Thread], State] = {}
        self._kept = 0
        self._work = 0
        self._steps = 0
        self.picks = 0

    @property
    def start(self) -> State:
        """Before any text. Raises: GrammarError if no text fits."""
        if self._first is None:
            self._first = self._closure([(self.program.start, None, 0)], {})
        if self._first is None:
            raise GrammarError("no text fits it")
        return self._first

    def rest(self) -> None:
        """A new pick has its whole bound of work. Within a step of its own it has what is left."""
        if self._steps == 0:
            self.picks += 1
            self._work = 0

    @property
    def work(self) -> int:
        return self._work

    def step(self, state: State, char: str) -> State | None:
        """Raises: GrammarError. An automaton may ask for a step of the grammar that it is in."""
        if self._steps > MOST_STEPS_WITHIN:
            raise GrammarError(TOO_NESTED)
        self._steps += 1
        try:
            return self._step(state, char)
        except RecursionError:
            # Grammars within one another in turn: Python's own limit comes first.
            raise GrammarError(TOO_NESTED) from None
        finally:
            self._steps -= 1

    def _step(self, state: State, char: str) -> State | None:
        places: list[Here] = []
        kept: dict[Thread, None] = {}
        waiting = [*state.index.by_char.get(char, ()), *state.index.others]
        self._spend(len(waiting) + 1)
        program = self.program
        for place, frame, memory in waiting:
            if program.ops[place] == Op.CHAR:
                if char in program.chars(place):
                    places.append((place + 1, frame, 0))
                continue
            automaton = program.automaton(place)
            following = automaton.step(memory, char)
            self._spend(automaton.cost(memory, following))
            if following is None:
                continue
            if automaton.goes_on(following):
                kept[(place, frame, following)] = None
            if automaton.is_end(following):
                places.append((place + 1, frame, 0))
        if not places and not kept:
            return None
        return self._closure(places, kept)

    def next_chars(self, thread: Thread) -> list[CharSet] | None:
        """Sets of characters for which this thread waits; None if only trying can tell."""
        place, _, memory = thread
        if self.program.ops[place] == Op.CHAR:
            return [self.program.chars(place)]
        return self.program.automaton(place).next_chars(memory)

    def some_of(self, thread: Thread, first: int, last: int) -> list[str]:
        """Characters of these codes, of which one fits if any does."""
        sets = self.next_chars(thread)
        if sets is None:
            self._spend(1)
            return [chr(code) for code in range(first, last + 1, max(1, (last - first) // 16))]
        self._spend(len(sets))
        found = [each.some_between(first, last) for each in sets]
        return [char for char in found if char is not None]

    def index_of(self, threads: tuple[Thread, ...]) -> Index:
        index = Index({}, [])
        for thread in threads:
            sets = self.next_chars(thread)
            self._spend(1 if sets is None else len(sets))
            listed = listed_chars(sets)
            if listed is None:
                index.others.append(thread)
                continue
            for char in listed:
                index.by_char.setdefault(char, []).append(thread)
        return index

    def _spend(self, amount: int) -> None:
        self._work += amount
        if self._work > MOST_WORK_PER_PICK:
            raise GrammarError(TOO_AMBIGUOUS)

    def _closure(
        self,
        places: list[Here],
        threads: dict[Thread, None],
    ) -> State | None:
        """The state in which everything up to the next character has been followed."""
        seen: set[Here] = set()
        accepts = False
        program = self.program
        while places:
            if len(seen) > MOST_PLACES_PER_CHAR:
                raise GrammarError(TOO_AMBIGUOUS)
            here = places.pop()
            if here in seen:
                continue
            seen.add(here)
            place, frame, pushed = here
            op = program.ops[place]
            if op == Op.CHAR:
                threads[(place, frame, None)] = None
            elif op == Op.JUMP:
                places += [(target, frame, pushed) for target in program.targets(place)]
            elif op == Op.COUNT:
                threads[(place, frame, program.automaton(place).start)] = None
            elif op == Op.CALL:
                self._call(here, places)
            elif op == Op.LOOP:
                self._turn(here, 0, places)
            elif op == Op.AGAIN:
                self._turn_again(here, places)
            elif frame is None:
                accepts = True
            else:
                places.append((frame.place, frame.parent, max(0, pushed - 1)))
        self._spend(WORK_PER_PLACE * len(seen))
        return self._state(threads, accepts=accepts)

    def _call(self, here: Here, places: list[Here]) -> None:
        """A call that is its rule's last word leaves no frame, so long lists need no depth."""
        place, frame, pushed = here
        program = self.program
        after = place + 1
        while program.ops[after] == Op.JUMP:
            only = program.only_target(after)
            if only is None:
                break
            after = only
        target = program.args[place]
        if program.ops[after] == Op.RETURN:
            places.append((target, frame, pushed))
            return
        above = self._frame(place + 1, 0, frame)
        if above is not None:
            places.append((target, above, pushed + 1))

    def _turn(self, here: Here, count: int, places: list[Here]) -> None:
        """From a loop, after so many turns."""
        place, frame, pushed = here
        loop = self.program.loop(place)
        if count >= loop.least:
            places.append((loop.after, frame, pushed))
        if loop.most is not None and count >= loop.most:
            return
        above = self._frame(place, count, frame)
        if above is not None:
            places.append((loop.body, above, pushed + 1))

    def _turn_again(self, here: Here, places: list[Here]) -> None:
        place, frame, pushed = here
        if frame is None:
            raise GrammarError("a loop of the grammar has lost its count")
        begin = self.program.args[place]
        loop = self.program.loop(begin)
        if pushed:
            # The turn was empty: more of them change nothing, and could be counted for ever.
            places.append((loop.after, frame.parent, pushed - 1))
            return
        count = frame.count + 1
        if loop.most is None:
            count = min(count, loop.least)
        self._turn((begin, frame.parent, 0), count, places)

    def _frame(self, place: int, count: int, parent: Frame | None) -> Frame | None:
        """None past the deepest."""
        key = (place, count, id(parent))
        found = self._frames.get(key)
        if found is None:
            found = Frame(place, count, parent)
            if found.depth > DEEPEST:
                return None
            self._frames[key] = found
        return found

    def _state(self, threads: dict[Thread, None], *, accepts: bool) -> State | None:
        if not threads and not accepts:
            return None
        if len(threads) > MOST_THREADS:
            raise GrammarError(TOO_AMBIGUOUS)
        mark: Thread = (-1, None, accepts)
        key = frozenset([*threads, mark])
        found = self._states.get(key)
        if found is None:
            self._make_room(len(threads))
            found = State(self, tuple(threads), accepts=accepts)
            self._states[key] = found
        return found

    def _make_room(self, count: int) -> None:
        self._kept += count + 1
        if self._kept > MOST_KEPT_THREADS or len(self._frames) > MOST_KEPT_FRAMES:
            self._kept = count + 1
            self._states.clear()
            self._frames.clear()
            # The first state leads to all that was forgotten, through what it remembers.
            self.start.forget()
