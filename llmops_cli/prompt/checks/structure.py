"""Assertions on the form of an answer: JSON and its schema, XML, HTML, SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, XMLParser

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.prompt.case_file.lined import plain
from llmops_cli.prompt.case_file.suite import Check
from llmops_cli.prompt.checks.verdict import Given, Misused, Verdict, holds

CONSTANTS = frozenset({"NaN", "Infinity", "-Infinity"})
FENCE = re.compile(r"```(?:\w+)?\s*\n(.*?)```", re.DOTALL)
TAG = re.compile(r"<([A-Za-z_][\w.:-]*)(?:\s[^<>]*)?(/?)>")
HTML_SIGNS = (
    (re.compile(r"<!DOCTYPE\s+html", re.IGNORECASE), 2),
    (re.compile(r"<[A-Za-z][\w-]*(?:\s[^<>]*)?>"), 1),
    (re.compile(r"</[A-Za-z][\w-]*\s*>"), 1),
    (re.compile(r"&(?:[A-Za-z]+|#\d+|#x[0-9A-Fa-f]+);"), 1),
    (re.compile(r"<!--.*?-->", re.DOTALL), 1),
    (re.compile(r"\s[A-Za-z-]+\s*=\s*[\"'][^\"']*[\"']"), 1),
    (
        re.compile(
            r"<(?:html|head|body|div|span|p|a|img|h[1-6]|ul|ol|li|table|tr|td|th|form|input|button|"
            r"script|style|link|meta|br|hr)\b",
            re.IGNORECASE,
        ),
        2,
    ),
)
ENOUGH_SIGNS = 2
SQL_EXTRA = "pip install 'llmops-cli[evals]'"


def is_json(check: Check, given: Given) -> Verdict:
    """Strict JSON that fits the schema, if there is one."""
    try:
        value = json.loads(given.text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return holds(False, check, "be JSON")
    schema = _schema_of(check)
    if schema is None:
        return holds(True, check, "be JSON")
    wrong = _schema_error(schema, value)
    return holds(wrong is None, check, f"fit the schema{_because(wrong)}")


def contains_json(check: Check, given: Given) -> Verdict:
    """An object or a list of JSON anywhere, one of which fits the schema."""
    found = list(json_values(given.text))
    schema = _schema_of(check)
    if schema is None:
        return holds(bool(found), check, "contain JSON")
    wrongs = [_schema_error(schema, value) for value in found]
    is_there = any(wrong is None for wrong in wrongs)
    first = wrongs[0] if wrongs else "there is no JSON"
    return holds(is_there, check, f"contain JSON that fits the schema{_because(first)}")


def json_values(text: str) -> Iterator[Any]:  # Any: JSON
    """Objects and lists, the outermost of each."""
    decoder = json.JSONDecoder()
    place = 0
    while True:
        opening = re.compile(r"[{\[]").search(text, place)
        if opening is None:
            return
        try:
            value, place = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            place = opening.end()
            continue
        yield value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _schema_of(check: Check) -> Any:  # Any: a JSON schema
    value = check.value
    if value is None or value == "":
        return None
    if isinstance(value, str):
        from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml

        try:
            value = load_yaml(value)
        except UNREADABLE as error:
            raise Misused(f"{check.name}: its schema is no YAML or JSON") from error
    if not isinstance(value, dict | bool):
        raise Misused(f"{check.name}: a schema is a mapping")
    return plain(value)


def require_valid_schema(check: Check) -> None:
    """Raises: Misused for a schema that is none; EnvironmentMissing without the library."""
    schema = _schema_of(check)
    if schema is None:
        return
    jsonschema = _jsonschema()
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise Misused(f"{check.name}: its schema is broken: {error.message}") from error


def _schema_error(schema: Any, value: Any) -> str | None:  # Any: JSON
    """The first thing that does not fit."""
    jsonschema = _jsonschema()
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    error = next(kind(schema).iter_errors(value), None)
    if error is None:
        return None
    place = error.json_path.removeprefix("$").removeprefix(".")
    return f"{place}: {error.message}" if place else str(error.message)


def _jsonschema() -> Any:  # Any: a module that may not be there
    try:
        import jsonschema
    except ImportError:
        raise EnvironmentMissing(
            "a JSON schema needs the package jsonschema", hint=SQL_EXTRA
        ) from None
    return jsonschema


def _because(wrong: str | None) -> str:
    return f": {wrong[:200]}" if wrong else ""


def is_xml(check: Check, given: Given) -> Verdict:
    """A whole document with the elements that are asked for."""
    root = _parsed(given.text.strip())
    if root is None:
        return holds(False, check, "be XML")
    missing = _missing(root, check)
    return holds(not missing, check, f"have the elements {', '.join(missing)}")


def contains_xml(check: Check, given: Given) -> Verdict:
    """An element anywhere, whole, with those that are asked for."""
    roots = list(_fragments(given.text))
    if not roots:
        return holds(False, check, "contain XML")
    missing = [_missing(root, check) for root in roots]
    is_there = any(not each for each in missing)
    return holds(is_there, check, f"contain XML with the elements {', '.join(missing[0])}")


def _fragments(text: str) -> Iterator[Element]:
    place = 0
    while True:
        opening = TAG.search(text, place)
        if opening is None:
            return
        place = opening.end()
        if opening[2]:
            end = opening.end()
        else:
            closing = f"</{opening[1]}>"
            at = text.rfind(closing, opening.end())
            if at < 0:
                continue
            end = at + len(closing)
        root = _parsed(text[opening.start() : end])
        if root is not None:
            place = end
            yield root


def _parsed(text: str) -> Element | None:
    """None for what is no XML, and for a document type of its own, which can grow without end."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    parser = XMLParser()  # noqa: S314 - entities need a document type, which is refused
    try:
        parser.feed(text)
        return parser.close()
    except (ParseError, ValueError):
        return None


def _missing(root: Element, check: Check) -> list[str]:
    """Paths with points, from the root on."""
    value = check.value
    if isinstance(value, dict):
        value = value.get("requiredElements")
    if value is None:
        return []
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list):
        raise Misused(f"{check.name} needs a list of elements")
    return [str(path) for path in value if not _has_path(root, str(path).split("."))]


def _has_path(root: Element, steps: list[str]) -> bool:
    if root.tag != steps[0]:
        return False
    rest = "/".join(steps[1:])
    return not rest or root.find(rest) is not None


def is_html(check: Check, given: Given) -> Verdict:
    text = given.text.strip()
    is_whole = text.startswith("<") and text.endswith(">")
    return holds(is_whole and _looks_like_html(text), check, "be HTML")


def contains_html(check: Check, given: Given) -> Verdict:
    return holds(_looks_like_html(given.text), check, "contain HTML")


def _looks_like_html(text: str) -> bool:
    signs = sum(weight for pattern, weight in HTML_SIGNS if pattern.search(text))
    return signs >= ENOUGH_SIGNS


def is_sql(check: Check, given: Given) -> Verdict:
    """Statements of the dialect, of allowed tables and columns alone."""
    wrong = _sql_error(given.text, check)
    return holds(wrong is None, check, f"be SQL{_because(wrong)}")


def contains_sql(check: Check, given: Given) -> Verdict:
    """In a fence, or as the whole."""
    parts = FENCE.findall(given.text) or [given.text]
    wrongs = [_sql_error(part, check) for part in parts]
    is_there = any(wrong is None for wrong in wrongs)
    return holds(is_there, check, f"contain SQL{_because(wrongs[0])}")


DIALECTS = {
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgresql": "postgres",
    "sqlite": "sqlite",
    "bigquery": "bigquery",
    "snowflake": "snowflake",
    "transactsql": "tsql",
    "redshift": "redshift",
    "trino": "trino",
    "athena": "athena",
    "hive": "hive",
    "db2": "",
    "flinksql": "",
}


def _sql_error(text: str, check: Check) -> str | None:
    value = check.value or {}
    if not isinstance(value, dict):
        raise Misused(f"{check.name} needs a mapping: databaseType, allowedTables, allowedColumns")
    dialect = str(value.get("databaseType") or "mysql").lower()
    if dialect not in DIALECTS:
        raise Misused(f"{check.name}: unknown databaseType '{value['databaseType']}'")
    sqlglot = _sqlglot()
    try:
        statements = sqlglot.parse(text, read=DIALECTS[dialect])
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        return str(error).splitlines()[0]
    commands = [each for each in statements if each is not None]
    if not commands or any(not _is_statement(each) for each in commands):
        return "no statement"
    return _not_allowed(commands, value)


def _is_statement(statement: Any) -> bool:  # Any: sqlglot's tree
    """A bare name or value parses too, and is none."""
    from sqlglot import exp

    kinds = (exp.Query, exp.DML, exp.DDL, exp.Alter, exp.Drop, exp.Set, exp.Use, exp.Describe)
    return isinstance(statement, kinds)


def _not_allowed(statements: list[Any], value: dict[str, Any]) -> str | None:  # Any: as above
    """Promptfoo's lists hold `select::(.*)::table`; here the last part is what counts."""
    from sqlglot import exp

    for key, kind in (("allowedTables", exp.Table), ("allowedColumns", exp.Column)):
        allowed = value.get(key)
        if allowed is None:
            continue
        patterns = _patterns(allowed, key)
        for statement in statements:
            for found in statement.find_all(kind):
                if not any(pattern.fullmatch(found.name) for pattern in patterns):
                    return f"{found.name} is not in {key}"
    return None


def _patterns(allowed: Any, key: str) -> list[re.Pattern[str]]:  # Any: YAML
    """Raises: Misused."""
    if not isinstance(allowed, list):
        raise Misused(f"{key} is a list")
    try:
        return [re.compile(str(each).rpartition("::")[2]) for each in allowed]
    except re.error as error:
        raise Misused(f"{key}: a pattern is broken: {error}") from error


def _sqlglot() -> Any:  # Any: a module that may not be there
    try:
        import sqlglot
    except ImportError:
        raise EnvironmentMissing("SQL needs the package sqlglot", hint=SQL_EXTRA) from None
    return sqlglot


def require_sql(check: Check) -> None:
    """Raises: as `is_sql` would, before anything is sent."""
    _sql_error("select 1", check)
