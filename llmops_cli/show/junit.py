"""JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring


class Case(NamedTuple):
    """One test case; it failed if `failure` says why, and told nothing if `skipped` does."""

    group: str
    name: str
    failure: str = ""
    output: str = ""
    skipped: str = ""


def junit_suite(name: str, cases: Sequence[Case]) -> str:
    """The cases as one suite."""
    failed = [case for case in cases if case.failure]
    failures = str(len(failed))
    tests = str(len(cases))
    suite = Element("testsuite", name=name, tests=tests, failures=failures, errors="0")
    for case in cases:
        _add(suite, case)
    indent(suite)
    text = tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _add(suite: Element, case: Case) -> None:
    element = SubElement(suite, "testcase", classname=case.group, name=case.name)
    if case.skipped:
        SubElement(element, "skipped", message=case.skipped)
    if case.failure:
        SubElement(element, "failure", message=case.failure)
    if case.output:
        output = SubElement(element, "system-out")
        output.text = case.output
