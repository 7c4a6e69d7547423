"""Items that differ, where they are too many to be listed: of an array, or names of an object."""

import json
from collections.abc import Callable, Hashable
from typing import NamedTuple

from _shared.grammars.machine import Machine
from _shared.grammars.nodes import CharSet, GrammarError, chars_of
from _shared.grammars.sameness import key_of
from _shared.grammars.states import State

OPENING = chars_of("[")
SEPARATORS = chars_of(" ,]")
UNTOLD = ""
MOST_CHECKED = 64
MOST_LOOKED_AT = 400
"""Characters that are tried to find an item that has not been there yet."""

Told = Callable[[str, State], str]
"""What of a text (and where it has led to) must differ, as a text; UNTOLD if that is not there."""


class DifferentState(NamedTuple):
    """Inside the array: the items that are written, and how far the next one is."""

    used: frozenset[str]
    item: State | None = None
    text: str = ""
    phase: str = "before"


class Kind(NamedTuple):
    """`told`: what must differ. `is_bare`: no brackets belong to it."""

    told: Told
    is_bare: bool
    keyword: str


class DifferentItems:
    """Texts of a grammar with commas between them, no two of the same value.

    No item is begun, and no character of one written, with which only earlier ones could follow.
    """

    def __init__(self, kind: Kind, *, least: int, most: int | None) -> None:
        """`items` are set before the first step: they may have such arrays in themselves.

        Each item has a grammar of its own, and all further ones have the last one.
        """
        self.items: list[Machine] = []
        self._kind = kind
        self._looked_at = 0
        self._least = least
        self._most = most
        phase = "after space" if kind.is_bare else "before"
        self.start: Hashable = DifferentState(frozenset(), phase=phase)

    def _machine(self, used: frozenset[str]) -> Machine | None:
        """Of the item that comes after those."""
        place = min(len(used), len(self.items) - 1)
        return self.items[place] if self.items else None

    def step(self, state: object, char: str) -> Hashable | None:
        if not isinstance(state, DifferentState) or state.phase == "closed":
            return None
        self._looked_at = 0
        for machine in self.items:
            machine.rest()
        if state.phase == "before":
            return state._replace(phase="open") if char == "[" else None
        return self._item_step(state, char) or self._separator_step(state, char)

    def _item_step(self, state: DifferentState, char: str) -> DifferentState | None:
        if char == " " and state.phase == "after comma" and not state.text:
            return state._replace(phase="after space")
        has_room = self._most is None or len(state.used) < self._most
        machine = self._machine(state.used)
        if machine is None or not has_room:
            return None
        item = (state.item or machine.start).step(char)
        if item is None:
            return None
        longer = DifferentState(state.used, item, state.text + char, "item")
        return None if self._is_stuck(longer) else longer

    def _is_stuck(self, state: DifferentState) -> bool:
        """However the item goes on, it becomes one that has been there."""
        if state.item is None or not state.used:
            return False
        return self._other(state.item, state.text, state.used) is None

    def check(self) -> None:
        """Raises: GrammarError if there are too few items, as far as that is soon to tell."""
        used: frozenset[str] = frozenset()
        for _ in range(min(self._least, MOST_CHECKED)):
            machine = self._machine(used)
            if machine is None:
                return
            machine.rest()
            value = self._other(machine.start, "", used)
            if value is None:
                message = f"{self._kind.keyword}: there are fewer than {self._least} different"
                raise GrammarError(f"{message} items")
            if value == UNTOLD:
                return
            used |= {value}

    def _other(self, item: State, text: str, used: frozenset[str]) -> str | None:
        """What makes an item that begins so differ from those; UNTOLD if that takes long to tell.

        None if nothing does.
        """
        try:
            return self._sought(item, text, used)
        except GrammarError:
            # Of a grammar within this one: it is too ambiguous, or nested too deep, to look ahead.
            return UNTOLD

    def _sought(self, item: State, text: str, used: frozenset[str]) -> str | None:
        waiting = [(item, text)]
        for _ in range(MOST_LOOKED_AT):
            if not waiting:
                return None
            self._looked_at += 1
            here, written = waiting.pop()
            value = self._kind.told(written, here)
            if value != UNTOLD and value not in used:
                return value
            if value != UNTOLD and self._kind.is_bare:
                continue
            following = here.first_chars()
            if following is None:
                return UNTOLD
            waiting += followers(here, written, following)
        return UNTOLD

    def _separator_step(self, state: DifferentState, char: str) -> DifferentState | None:
        if char == "]" and state.phase == "open" and not self._least:
            return DifferentState(frozenset(), phase="closed")
        used = self._used_with(state)
        if used is None:
            return None
        if char == "]" and len(used) >= self._least and not self._kind.is_bare:
            return DifferentState(used, phase="closed")
        has_room = self._most is None or len(used) < self._most
        machine = self._machine(used)
        if char != "," or not has_room or machine is None:
            return None
        other = self._other(machine.start, "", used)
        return None if other is None else DifferentState(used, phase="after comma")

    def _used_with(self, state: DifferentState) -> frozenset[str] | None:
        """What has been there when the item ends here; None if it may not."""
        if state.item is None or not state.item.accepts:
            return None
        value = self._kind.told(state.text, state.item)
        return None if value in state.used else state.used | {value}

    def is_end(self, state: object) -> bool:
        if not isinstance(state, DifferentState):
            return False
        if not self._kind.is_bare:
            return state.phase == "closed"
        used = self._used_with(state)
        return used is not None and len(used) >= self._least

    def goes_on(self, state: object) -> bool:
        return isinstance(state, DifferentState) and state.phase != "closed"

    def next_chars(self, state: object) -> list[CharSet] | None:
        if not isinstance(state, DifferentState):
            return None
        if state.phase in ("before", "closed"):
            return [OPENING] if state.phase == "before" else []
        machine = self._machine(state.used)
        if machine is None:
            return None
        chars = (state.item or machine.start).first_chars()
        return None if chars is None else [SEPARATORS, chars_of(chars)]

    def cost(self, state: object, following: object) -> int:
        """With the work of the item's own grammar in the last step."""
        within = sum(machine.work for machine in self.items)
        text = state.text if isinstance(state, DifferentState) else ""
        return 10 + within + len(text) // 4 + 8 * self._looked_at


def followers(state: State, text: str, chars: str) -> list[tuple[State, str]]:
    found = []
    for char in without_blanks(chars, text):
        after = state.step(char)
        if after is not None:
            found.append((after, text + char))
    return found


def without_blanks(chars: str, text: str) -> str:
    """Blanks between the parts of a value make no other value of it."""
    return chars if is_in_text(text) else chars.strip(" \n\t")


def is_in_text(text: str) -> bool:
    return text.replace("\\\\", "").replace('\\"', "").count('"') % 2 == 1


def told_value(text: str, state: State) -> str:
    return value_of(text) if state.accepts else UNTOLD


def told_name(text: str, _state: State) -> str:
    """Of a member of an object, as soon as its name is whole."""
    if not text.endswith('"') and ":" not in text:
        return UNTOLD
    try:
        name, _ = READER.raw_decode(text)
    except ValueError:
        return UNTOLD
    return json.dumps(name)


READER = json.JSONDecoder(strict=False)
OF_ARRAY = Kind(told_value, is_bare=False, keyword="uniqueItems")
OF_MEMBERS = Kind(told_name, is_bare=True, keyword="minProperties")


def value_of(text: str) -> str:
    """Equal for equal values: 1.0 is 1, and an object's names have no order."""
    return key_of(json.loads(text))
