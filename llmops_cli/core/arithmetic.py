"""Arithmetic in text, exactly and within bounds: parsed, never run.

No names, no calls, no attributes: there is nothing that a text could reach.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from fractions import Fraction

MOST_CHARS = 400
MOST_POWER = 1000
MOST_BITS = 8192
"""Of a value's numerator and denominator."""


class NotArithmetic(ValueError):
    """A text that is no arithmetic, or arithmetic beyond the bounds; the message says which."""


def evaluate(text: str) -> Fraction:
    """The value of numbers with + - * / // % ** and brackets. Raises: NotArithmetic."""
    plain = text.strip()
    if len(plain) > MOST_CHARS:
        raise NotArithmetic(f"more than {MOST_CHARS} characters")
    try:
        tree = ast.parse(plain, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise NotArithmetic("no arithmetic") from None
    return _value(tree.body)


def written(value: Fraction) -> str:
    """As people write it: exactly where that is short, else with 12 digits."""
    if value.denominator == 1:
        return str(value.numerator)
    try:
        return f"{float(value):.12g}"
    except OverflowError:
        return f"{value.numerator}/{value.denominator}"


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _bounded(_number(node.value))
    if isinstance(node, ast.UnaryOp) and type(node.op) in SIGNS:
        return SIGNS[type(node.op)] * _value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        left = _value(node.left)
        right = _value(node.right)
        try:
            return _bounded(OPERATIONS[type(node.op)](left, right))
        except ZeroDivisionError:
            raise NotArithmetic("division by zero") from None
    raise NotArithmetic("only numbers, + - * / // % ** and brackets")


def _number(value: object) -> Fraction:
    try:
        return Fraction(str(value))  # 0.1 is a tenth, not the nearest double
    except ValueError:
        raise NotArithmetic("a number beyond all bounds") from None


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > MOST_POWER:
        raise NotArithmetic(f"an exponent is a whole number up to {MOST_POWER}")
    bits = base.numerator.bit_length() + base.denominator.bit_length()
    if bits * abs(exponent) > 2 * MOST_BITS:
        raise NotArithmetic("a value beyond all bounds")
    return base ** int(exponent)


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise NotArithmetic("a value beyond all bounds")
    return value


SIGNS: dict[type[ast.unaryop], int] = {ast.UAdd: 1, ast.USub: -1}
OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: Fraction(left // right),
    ast.Mod: lambda left, right: left % right,
    ast.Pow: _power,
}
