"""Chat templates in the manners of those that models come with, as short as they can be."""

from __future__ import annotations

from typing import Any

from _shared.tools.tags import Render, probe_tools
from llamacpp.server.chat import ChatTemplate

QWEN = (
    "{% if tools %}<tools>{% for t in tools %}{{ t | tojson }}{% endfor %}</tools>"
    "call within <tool_call></tool_call>{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}"
    "{% endfor %}<|assistant|>"
)
LLAMA = (
    '{% if tools %}Respond with {"name": function name, "parameters": its arguments}'
    "{% for t in tools %}{{ t | tojson }}{% endfor %}{% endif %}"
    "{% for m in messages %}{{ m.content }}{% endfor %}"
)
MISTRAL = (
    "{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}"
    "{% for m in messages %}{% if m.tool_calls %}[TOOL_CALLS]{{ m.tool_calls | tojson }}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
)
MISTRAL_NAMED = MISTRAL + "{# [ARGS] #}"
FUNCTIONARY = "{% if tools %}<function=name>{arguments}</function>{{ tools | tojson }}{% endif %}"
HARMONY = (
    "{% if tools %}<|start|>developer<|message|>{% for t in tools %}{{ t.function.name }} "
    "{% endfor %}<|end|>{% endif %}"
    "{% for m in messages %}<|start|>{{ m.role }}"
    "{% if m.role == 'assistant' %}<|channel|>final{% endif %}"
    "<|message|>{{ m.content }}<|end|>{% endfor %}<|start|>assistant"
)
CALLS = (
    "{% if tools %}You have {{ tools | tojson }}{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% if m.tool_calls %}BEGIN{% for c in m.tool_calls %}CALL{% endfor %}FINISH{% endif %}"
    "<|end|>{% endfor %}<|assistant|>"
)
ARGUMENTS = "{% for k, v in c.function.arguments | items %}ARGUMENT{% endfor %}"
RAW = "{{ v if v is string else v | tojson }}"


def with_tags(call: str, argument: str, begin: str = "", finish: str = "") -> str:
    written = call.replace("ARGUMENTS", ARGUMENTS.replace("ARGUMENT", argument.replace("RAW", RAW)))
    whole = CALLS.replace("CALL", written.replace("NAME", "{{ c.function.name }}"))
    return whole.replace("BEGIN", begin).replace("FINISH", finish)


QWEN_CODER = with_tags(
    "\n<tool_call>\n<function=NAME>\nARGUMENTS</function>\n</tool_call>",
    "<parameter={{ k }}>\nRAW\n</parameter>\n",
)
GLM = with_tags(
    "\n<tool_call>NAME\nARGUMENTS</tool_call>",
    "<arg_key>{{ k }}</arg_key>\n<arg_value>RAW</arg_value>\n",
)
MINIMAX = with_tags(
    '<invoke name="NAME">\nARGUMENTS</invoke>\n',
    '<parameter name="{{ k }}">RAW</parameter>\n',
    begin="\n<minimax:tool_call>\n",
    finish="</minimax:tool_call>",
)
ESCAPED = with_tags(
    "<tool_call>\n<function=NAME>\nARGUMENTS</function>\n</tool_call>",
    "<parameter={{ k }}>{{ v | tojson }}</parameter>\n",
)
PLAIN = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"


def render_of(source: str) -> Render:
    """As the server has it."""
    template = ChatTemplate(source, bos="", eos="")

    def render(messages: list[dict[str, Any]]) -> str:
        return template.render(messages, {"tools": probe_tools()})

    return render


def framed(calls: str, answer: str = "{{ m.content }}") -> str:
    """Of models that write a name and JSON between marks of their own."""
    return (
        "{% if tools %}You have {{ tools | tojson }}{% endif %}"
        "{% for m in messages %}<|{{ m.role }}|>"
        f"{{% if m.tool_calls %}}{calls}{{% else %}}{answer}{{% endif %}}"
        "<|end of turn|>{% endfor %}<|assistant|>"
    )


def each_call(call: str, between: str = "") -> str:
    comma = f"{{% if not loop.last %}}{between}{{% endif %}}"
    return f"{{% for c in m.tool_calls %}}{call}{comma}{{% endfor %}}"


JSON_ARGUMENTS = "{{ c.function.arguments | tojson }}"
FRAMED = {
    "deepseek": framed(
        "<|calls begin|>"
        + each_call(
            "<|call begin|>function<|sep|>{{ c.function.name }}\n```json\n"
            + JSON_ARGUMENTS
            + "\n```<|call end|>",
            "\n",
        )
        + "<|calls end|>"
    ),
    "kimi": framed(
        "<|section begin|>"
        + each_call("<|call begin|>{{ c.id }}<|arguments begin|>" + JSON_ARGUMENTS + "<|call end|>")
        + "<|section end|>"
    ),
    "command r": framed(
        "<|START_ACTION|>[\n"
        + each_call(
            '    {"tool_call_id": "{{ loop.index0 }}", "tool_name": "{{ c.function.name }}", '
            '"parameters": ' + JSON_ARGUMENTS + "}",
            ",\n",
        )
        + "\n]<|END_ACTION|>",
        "<|START_RESPONSE|>{{ m.content }}<|END_RESPONSE|>",
    ),
    "apertus": framed(
        "<|tools_prefix|>["
        + each_call('{"{{ c.function.name }}": ' + JSON_ARGUMENTS + "}", ", ")
        + "]<|tools_suffix|>"
    ),
    "one only": framed(
        "<|call|>{{ m.tool_calls[0].function.name }}<|args|>"
        "{{ m.tool_calls[0].function.arguments | tojson }}<|done|>"
    ),
}
