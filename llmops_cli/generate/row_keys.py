"""What a row asks as a number, by which rows of saved batches find each other."""

from __future__ import annotations

import hashlib

import msgspec

from llmops_cli.generate.rows import Form, Row, prompt_of
from llmops_cli.runtime.chat import message

ASKING_FIELDS = ("messages", "prompt", "input", "instructions", "suffix", "tools")
"""Of a batch row's body: what it asks, without who is asked and how."""
CHAT_PATH = "/v1/chat/completions"

_encode = msgspec.json.Encoder(order="deterministic").encode


def row_key(row: Row) -> int:
    """The same for the same question, whatever the model, its settings and the row's form."""
    fields = row.fields
    path = CHAT_PATH
    if row.form is Form.PROMPT:
        asked = {"messages": [message("user", prompt_of(fields))]}
    elif row.form is Form.CHAT:
        asked = {"messages": fields["messages"]}
    else:
        path = fields["url"]
        body = fields["body"]
        asked = {name: body[name] for name in ASKING_FIELDS if name in body} or body
    digest = hashlib.blake2b(_encode([path, asked]), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
