"""Names that a cluster takes, and those that we make of a file's."""

from __future__ import annotations

import re

from llmops_cli.core.errors import UsageError

LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
MOST_CHARS = 63
MOST_OF_OBJECT = 253
OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
RESOURCE = re.compile(
    r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
LONGEST_SUFFIX = "-headless-0000000000-00000"
"""What a cluster or we put behind a name that is still a label."""
MOST_OF_OURS = MOST_CHARS - len(LONGEST_SUFFIX)
HOST = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?")
IMAGE = re.compile(
    r"[a-z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:\d+)?"
    r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(@sha256:[0-9a-f]{64})?"
)
RULE = "small letters, digits and hyphens, a letter first"


def require_label(text: str, *, what: str, most: int = MOST_CHARS) -> str:
    """Raises: UsageError for what no cluster takes as a name."""
    if len(text) > most:
        raise UsageError(f"{what} '{text}' is longer than {most} characters", hint=RULE)
    if not LABEL.fullmatch(text):
        near = nearest_label(text)
        hint = f"{RULE}: {near}" if near else RULE
        raise UsageError(f"{what} '{text}' is a name that no cluster takes", hint=hint)
    return text


def require_object_name(text: str, *, what: str) -> str:
    """Of an object that others have made, which may be longer and have dots.

    Raises: UsageError.
    """
    if len(text) > MOST_OF_OBJECT or not OBJECT_NAME.fullmatch(text):
        raise UsageError(
            f"{what} '{text}' is a name that no cluster takes",
            hint="small letters, digits, hyphens and dots",
        )
    return text


def require_resource(text: str, *, what: str) -> str:
    """Of what a node has, such as cards. Raises: UsageError."""
    if not RESOURCE.fullmatch(text):
        raise UsageError(f"{what} '{text}' is no resource of a node", hint="nvidia.com/gpu")
    return text


def require_host(text: str, *, what: str) -> str:
    """By which clients ask; routes take no addresses. Raises: UsageError."""
    labels = text.removeprefix("*.").split(".")
    is_address = labels[-1].isdecimal()
    if is_address or len(text) > MOST_OF_OBJECT or not HOST.fullmatch(text):
        raise UsageError(f"{what} '{text}' is no host's name", hint="llm.example.com")
    if any(len(label) > MOST_CHARS for label in labels):
        raise UsageError(f"{what} '{text}' has a part of more than {MOST_CHARS} characters")
    return text


def nearest_label(text: str) -> str:
    """What is left of a name without what no label has; empty where that is nothing."""
    lowered = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if lowered and not lowered[0].isalpha():
        lowered = f"u-{lowered}"
    return lowered[:MOST_OF_OURS].rstrip("-")


def require_image(text: str, *, what: str) -> str:
    """Raises: UsageError for what is no reference of an image."""
    if not IMAGE.fullmatch(text):
        raise UsageError(
            f"{what} '{text}' names no image", hint="registry.example.com/llmops-gateway:0.1.0"
        )
    return text


def is_floating(image: str) -> bool:
    """Whether it can be another image tomorrow: no tag, or one that moves."""
    if "@" in image:
        return False
    last = image.rpartition("/")[2]
    _, _, tag = last.partition(":")
    return tag in {"", "latest", "main", "master", "nightly", "edge", "stable", "dev"}
