"""What a grammar is asked for with: plain values, which another process can be sent."""

import json
from typing import Any, NamedTuple

from _shared.tools.layouts import Layout, Tool

# Any: a JSON schema, whose keywords hold values of every kind.
AnySchema = dict[str, Any] | bool


class GbnfTask(NamedTuple):
    text: str

    @property
    def source(self) -> str:
        return f"gbnf {self.text}"


class SchemaTask(NamedTuple):
    schema: AnySchema

    @property
    def source(self) -> str:
        return f"schema {json.dumps(self.schema)}"


class CallsTask(NamedTuple):
    """Calls of these tools, `has_several`: one after another too."""

    tools: list[Tool]
    layout: Layout
    has_several: bool

    @property
    def source(self) -> str:
        """The layout's name says all of it."""
        return f"calls {json.dumps([self.layout.name, self.has_several, *self.tools])}"


GrammarTask = GbnfTask | SchemaTask | CallsTask
