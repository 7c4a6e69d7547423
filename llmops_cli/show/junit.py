"""JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring


def junit_suite(name: str, cases: Sequence[tuple[str, str, str, str]]) -> str:
    """`cases` are (class, name, failure or empty, output)."""
    failures = sum(bool(failure) for _, _, failure, _ in cases)
    suite = Element(
        "testsuite", name=name, tests=str(len(cases)), failures=str(failures), errors="0"
    )
    for group, case, failure, output in cases:
        element = SubElement(suite, "testcase", classname=group, name=case)
        if failure:
            SubElement(element, "failure", message=failure)
        if output:
            SubElement(element, "system-out").text = output
    indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(suite, encoding="unicode") + "\n"
