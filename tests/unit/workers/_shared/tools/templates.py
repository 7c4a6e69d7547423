"""Chat templates in the manners of those that models come with, as short as they can be."""

from __future__ import annotations

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
QWEN_CODER = "{% if tools %}<tool_call><function=n><parameter=p>{% endif %}"
PLAIN = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
