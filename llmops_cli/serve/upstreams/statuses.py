"""What the status of an upstream's answer says, and whose doing that is."""

from __future__ import annotations

from enum import Enum

OK = 200
NOT_FOUND = 404
TOO_MANY = 429
REFUSALS = (401, 402, 403, NOT_FOUND, 405, 407, 410, 421)
OF_A_PATH = (NOT_FOUND, 405, 410)
"""What is not there; whatever else is asked may be."""
LATE = (408, 425)
"""It was not ready; the request may be made again."""
OVERLOADED = 529
"""As Anthropic says it, where others say 503."""
CLEAR = (TOO_MANY, 500, 502, 503, 504, OVERLOADED)
"""What clients know how to read."""


class Meaning(Enum):
    """REQUEST: the request is wrong, as far as this upstream can tell.

    REFUSAL: it does not take what the gateway asks: the key, the model's name, the address.
    """

    ANSWER = "answer"
    REQUEST = "request"
    BUSY = "busy"
    REFUSAL = "refusal"
    FAILURE = "failure"

    @property
    def is_passed_on(self) -> bool:
        """To the client, as it is; of the others another upstream may know better."""
        return self is ANSWER or self is Meaning.REQUEST


ANSWER = Meaning.ANSWER


def meaning_of(status: int, *, names_are_the_clients: bool = False) -> Meaning:
    """`names_are_the_clients`: it was the client's word what does not exist."""
    if status == OK:
        return ANSWER
    if status == TOO_MANY:
        return Meaning.BUSY
    if status == NOT_FOUND and names_are_the_clients:
        return Meaning.REQUEST
    if status in REFUSALS or is_redirect(status):
        return Meaning.REFUSAL
    if 400 <= status < 500 and status not in LATE:
        return Meaning.REQUEST
    return Meaning.FAILURE


def is_redirect(status: int) -> bool:
    return 300 <= status < 400
