"""Images, sounds, videos and files in a body: what of them is data, and what is text after all."""

from __future__ import annotations

import base64
import binascii
import re
import string
from enum import StrEnum
from typing import NamedTuple

import msgspec

from llmops_cli.serve.api_words import API_WORDS, STRUCTURE
from llmops_cli.serve.fetching import address_in


class Medium(StrEnum):
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    FILE = "file"


MEDIA = {
    "image_url": Medium.IMAGE,
    "image": Medium.IMAGE,
    "image_pil": Medium.IMAGE,
    "image_embeds": Medium.IMAGE,
    "input_audio": Medium.AUDIO,
    "audio_url": Medium.AUDIO,
    "audio": Medium.AUDIO,
    "audio_embeds": Medium.AUDIO,
    "video_url": Medium.VIDEO,
    "video": Medium.VIDEO,
    "file": Medium.FILE,
    "file_data": Medium.FILE,
    "file_url": Medium.FILE,
    "source": Medium.FILE,
}
"""Keys below which data stands that is no text."""
OF_DATA = {
    "image": Medium.IMAGE,
    "audio": Medium.AUDIO,
    "video": Medium.VIDEO,
}
PROGRAMS = ("application/pdf", "application/octet-stream", "application/zip")
SCHEMES = ("http://", "https://", "s3://", "gs://")
NAMES = frozenset(
    ("filename", "file_name", "name", "title", "text", "alt", "caption", "context", "description")
)
"""Keys beside a medium's data that hold words, whatever these look like."""
NEVER_FETCHED = frozenset(("data", "file_data", "source"))
"""Keys of the data itself, which may be a text that begins with an address, and of a text's origin
where no mapping follows."""
URL_MOST = 8192
BASE64_LEAST = 32
LOOKED_AT = 4096
"""Of data, to tell that it is some."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


class MediaData(msgspec.Struct, frozen=True):
    """`chars`: as they stand in the body; 0: only its address does.

    `address`: of that the scheme and the host, if it has them.
    """

    medium: Medium
    chars: int
    address: str = ""


def medium_of(kind: str, size: int) -> MediaData:
    """Of a file. `kind`: its media type."""
    return MediaData(OF_DATA.get(kind.partition("/")[0], Medium.FILE), size)


class MediaTexts(NamedTuple):
    """What of a medium is text after all. `refers`: it names a file that somebody else keeps."""

    texts: list[str]
    refers: bool = False


def texts_of_media(
    medium: Medium,
    value: object,
    data: list[MediaData],
) -> MediaTexts:
    """Everything below a medium's key that is not its data, which goes into `data`."""
    texts: list[str] = []
    refers = False
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting:
        name, inner = waiting.pop()
        if isinstance(inner, str):
            texts.extend(texts_of_data(medium, inner, data, key=name))
        elif isinstance(inner, list):
            waiting.extend((name, item) for item in reversed(inner))
        elif isinstance(inner, dict):
            refers = refers or isinstance(inner.get("file_id"), str)
            if not STRUCTURE.issuperset(inner):
                texts.extend(key for key in inner if key not in STRUCTURE and key not in MEDIA)
            for key in reversed(inner):
                if key in NAMES and isinstance(inner[key], str):
                    texts.append(inner[key])
                else:
                    waiting.append((key, inner[key]))
    return MediaTexts(texts, refers)


def texts_of_data(
    medium: Medium,
    value: str,
    data: list[MediaData],
    *,
    key: str,
) -> list[str]:
    """Nothing for data of an image and the like, or an address of some. `key`: where it stands."""
    if value in API_WORDS:
        return []
    if value.startswith("data:"):
        return _texts_of_data_url(medium, value, data)
    address = "" if key in NEVER_FETCHED else address_in(value)
    is_plain = value.startswith(SCHEMES) and len(value) <= URL_MOST and _is_one_word(value)
    if address or is_plain:
        data.append(MediaData(medium, 0, address))
    if is_plain:
        return []
    if value.startswith(SCHEMES):
        return [value]
    if _is_base64(value):
        data.append(MediaData(medium, len(value)))
        return []
    return [value]


def _texts_of_data_url(
    medium: Medium,
    value: str,
    data: list[MediaData],
) -> list[str]:
    head, comma, _ = value[:256].partition(",")
    kind, *parameters = head.removeprefix("data:").lower().split(";")
    start = len(head) + len(comma)
    if not comma or "base64" not in parameters:
        return [value]
    family = kind.partition("/")[0]
    if family in OF_DATA or kind in PROGRAMS:
        if not _is_one_word(value):
            return [value]
        data.append(MediaData(OF_DATA.get(family, medium), len(value)))
        return []
    try:
        return [base64.b64decode(value[start:]).decode("utf-8", "replace")]
    except (binascii.Error, ValueError):
        return [value]


def _is_one_word(value: str) -> bool:
    """Whether nobody could read a sentence in it. Megabytes are looked at in a millisecond."""
    return value.isascii() and not any(space in value for space in string.whitespace)


def _is_base64(value: str) -> bool:
    if len(value) < BASE64_LEAST or not _is_one_word(value):
        return False
    return _BASE64.fullmatch(value[:LOOKED_AT]) is not None
