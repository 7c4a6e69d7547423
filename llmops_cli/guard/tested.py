"""Whether a text is code that tests what its strings say, and nothing else.

A line of a test is written as easily as a quotation mark. So strings are what is tested where all
of the text around them is code: beside a line of prose, or a comment that speaks to its reader,
they are what he is to read.
"""

from __future__ import annotations

import itertools
import re

from llmops_cli.guard.skeleton import skeleton

STRING = re.compile(r"\"[^\"\n]{0,300}\"|'[^'\n]{0,300}'(?!\w)|`[^`\n]{0,300}`")
ROLES = re.compile(r"[\"']role[\"']\s{0,9}:")
"""Messages to a model, whatever else they are."""
TESTS = re.compile(
    r"^[ \t]*+(?:def test_\w{1,80}\(|(?:it|test)\([\"'`]"
    r"|assert (?:not )?[\w.]{1,80}\(|assert [^\n\"'“]{1,80}(?:==|\bin\b) "
    r"|(?:self\.)?assert\w{1,20}!?\(\w"
    r"|expect\([^\n]{1,400}\)\.\w)",
    re.MULTILINE,
)
LIST_SIGN = re.compile(r"\[(?:(?<=[=:]\[)|(?<=[=:]\s\[))")
LIST = re.compile(
    r"(?i:\b\w{0,30}"
    r"(?:attack|payload|sample|case|phrase|pattern|block|bad|banned|deny|example|input|fixture)"
    r"\w{0,30})\s?[=:]\s?\["
)
"""A list of what is tested. It ends with a LIST_SIGN, which is found sooner."""
CALL_SIGN = re.compile(r"\((?<=[\w!]\()")
CALL = re.compile(
    r"\b(?:assert|expect)\w{0,40}!?\((?![\"'`])|\b(?:check|scan|detect|ask)\w{0,40}\("
    r"|\bassert (?:not )?[\w.]{1,80}\(|\bassert [^\n\"'“]{1,80}(?:==|\bin\b) ",
)
"""A call that tests. It ends with a CALL_SIGN, or begins with `assert`."""
NEAR_CHARS = 100
"""More than lists and calls have before their signs."""
SIGNS_MOST = 16
"""Of more signs not each is looked at, but all of the text once."""
ABOUT_CODE = re.compile(
    r"\A\s*(?:(?:please|kindly|can you|could you|hi|hello)[,!]? )*"
    r"(?:review|explain|fix|debug|refactor|simplify|lint|speed up|check|port|why (?:does|is|do)"
    r"|what(?:'s| is) wrong (?:in|with)|write tests? for|add types to)"
    r" (?:(?!and |then )[^.!?\n\"' ]+ ){0,6}"
    r"(?:filter|function|code|regex|script|tests?|snippet|list|class|bug|module|check)\b"
    r"(?: for me| below| above| here| of mine)?[.:?]{0,2}[ \t]*\n",
    re.IGNORECASE,
)
"""A first line that asks for work on the code below: what its strings say is nobody's order."""
VERDICT = re.compile(
    r"^[ \t-]*+expect\w{0,20}: ?[\"']?(?:block|refus|reject|flag|den|declin|stop)",
    re.MULTILINE,
)
"""What a file of cases expects of a guard."""
ARGUMENT = re.compile(
    r"(?:\w\(|==|\bin|\[|[\[(][^\])]*,)[ \t]?$|(?:^|[\s-])(?:input|prompt|text|query|user):\s?$"
)
"""What stands before a string in code: what is tested or compared, whatever its length."""
LEAD_CHARS = 40
COMMENT = re.compile(r"(?:^|(?<=\s))(?:#|//|\*|--)[^\n]*|\"\"\"[^\"]{0,2000}\"\"\"", re.MULTILINE)
KEYWORD = re.compile(
    r"(?<![\w.])(?:and|as|assert|async|await|bool|boolean|case|class|const|def|default|describe|do"
    r"|elif|else|end|except|export|extends|false|final|fn|for|from|func|function|if|import|in|int"
    r"|is|it|lambda|let|mut|new|none|not|null|of|or|private|protected|pub|public|raise|return"
    r"|static|str|string|struct|test|then|throws?|true|try|use|using|var|void|when|while|with|yield"
    r")(?!\w)",
    re.IGNORECASE,
)
PROSE = re.compile(
    r"(?<![\w.])[a-z']{1,20} {1,3}[a-z']{1,20} {1,3}[a-z']{1,20}(?![\w(.])"
    r"|(?<![\w.])[a-z]{1,20} {1,3}[a-z]{1,20} ?(?:[(:.!]|$)",
    re.IGNORECASE | re.MULTILINE,
)
"""Words in a row, but for keywords: three, or two before a bracket, a colon or a line's end."""
ORDERS = re.compile(
    r"(?<![\w.])(?:please|obey|you|your|yours|yourself)(?!\w)"
    r"|(?<![\w.])(?:kindly|follow|comply|execute|perform|carry|treat|now|respond|reply|proceed"
    r"|pretend|behave|immediately|says|told|above|below|following)(?![\w(.=])",
    re.IGNORECASE,
)
TO_ITS_READER = re.compile(
    r" (?:you|your|remember|task|goal|job|begin|start|proceed|continue|go|do|act|adopt|print|output"
    r"|answer|apply|real|true|assistant|ai|chatgpt|gpt|claude|gemini|llm) "
)
"""Words of a comment that speaks to who reads it, or of what it does."""


def is_test(text: str) -> bool:
    """Whether something is tested by its form, and all the rest is code, too."""
    return TESTS.search(text) is not None and is_code(text)


def is_tested(text: str) -> bool:
    """Whether strings that are arguments in it are what is tested."""
    return _is_likely(text) and not ROLES.search(text) and is_code(ABOUT_CODE.sub("", text))


def _is_likely(text: str) -> bool:
    """Whether it may be code that tests. Most texts have not even the signs of that."""
    if _ends_with(LIST_SIGN, LIST, text):
        return True
    if CALL.search(text) if "assert" in text else _ends_with(CALL_SIGN, CALL, text):
        return True
    return "expect" in text and VERDICT.search(text) is not None


def _ends_with(
    sign: re.Pattern[str],
    pattern: re.Pattern[str],
    text: str,
) -> bool:
    """Whether the text has the pattern, which ends with the sign."""
    signs = list(itertools.islice(sign.finditer(text), SIGNS_MOST + 1))
    if len(signs) > SIGNS_MOST:
        return pattern.search(text) is not None
    return any(
        pattern.search(text, max(found.start() - NEAR_CHARS, 0), found.end() + 1) for found in signs
    )


def without_arguments(line: str) -> str:
    """The line without strings that code looks at. A comma counts within brackets."""
    kept: list[str] = []
    done = 0
    is_left_out = False
    for found in STRING.finditer(line):
        between = line[done : found.start()]
        is_next = is_left_out and between.strip() == ","
        is_left_out = is_next or ARGUMENT.search(between[-LEAD_CHARS:]) is not None
        kept += [between, " " if is_left_out else found[0]]
        done = found.end()
    return "".join([*kept, line[done:]])


def is_code(text: str) -> bool:
    """Whether it has no prose but comments that speak to nobody."""
    comments = [_plain(comment) for comment in COMMENT.findall(text)]
    code = _plain(COMMENT.sub(" ", text))
    rest = "\n".join((code, *comments))
    if not rest.isascii() or ORDERS.search(rest) or PROSE.search(KEYWORD.sub(";", code)):
        return False
    return not any(TO_ITS_READER.search(skeleton(comment)) for comment in comments)


def _plain(text: str) -> str:
    return STRING.sub('""', text)
