"""Expressions of shapes in exported programs, which torch evaluates: those that are arithmetic, and nothing else."""

from __future__ import annotations

import ast
import re

from fleetpose.errors import quoted
from models.zoo.stored.pickles import MayRunCode

#: letters of an expression, digits of a number, powers in an expression and what they are at most
MOST_LETTERS, MOST_DIGITS, MOST_POWERS, MOST_POWER = 2_000, 19, 8, 8
#: names of sides, as torch gives them: s0, s77, u3, zuf0
_SIDE = re.compile(r"[a-z]{1,4}[0-9]{1,6}")
#: torch's and sympy's functions of whole numbers that shapes come from, as they are written or as sympy's `srepr` does
FUNCTIONS = frozenset(
    (
        *("FloorDiv", "ModularIndexing", "PythonMod", "Mod", "CleanDiv", "CeilToInt", "FloorToInt", "CeilDiv", "Where"),
        *(
            "IntTrueDiv",
            "FloatTrueDiv",
            "TruncToInt",
            "TruncToFloat",
            "RoundToInt",
            "ToFloat",
            "Identity",
            "Max",
            "Min",
        ),
        *("Eq", "Ne", "Ge", "Gt", "Le", "Lt", "And", "Or", "Not", "Piecewise", "floor", "ceiling", "Abs"),
        *("Equality", "Unequality", "GreaterThan", "StrictGreaterThan", "LessThan", "StrictLessThan"),
        *("Add", "Mul", "Integer", "Rational", "Float", "Tuple", "ExprCondPair"),
    )
)
#: functions that are checked more closely
SYMBOL, POWERS = "Symbol", ("Pow", "PowByNatural", "FloatPow")
_OPERATORS = (
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.USub, ast.UAdd, ast.Load),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
)
_NODES = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.Tuple, *_OPERATORS)
_WORDS = ("True", "False", "true", "false", "oo", "int_oo")
#: what is said of a side
_ASSUMPTIONS = ("positive", "integer", "nonnegative", "real")


def check_expression(text: str) -> None:
    """Raise MayRunCode for what is not arithmetic on sides and whole numbers that takes no time to compute."""
    if len(text) > MOST_LETTERS or not text.isascii():
        raise _refusal(text)
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _refusal(text) from None
    waiting: list[ast.AST] = [tree.body]
    powers = 0
    while waiting:
        node = waiting.pop()
        if not isinstance(node, _NODES) or not _harmless(node):
            raise _refusal(text)
        powers += _is_power(node)
        if not (isinstance(node, ast.Call) and _called(node) == SYMBOL):
            waiting += ast.iter_child_nodes(node)
    if powers > MOST_POWERS:
        raise _refusal(text)


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        if _called(node) == SYMBOL:
            return _is_symbol(node)
        return (_called(node) in FUNCTIONS or _is_small_power(node)) and not node.keywords
    if isinstance(node, ast.Name):
        return bool(_SIDE.fullmatch(node.id)) or node.id in (*FUNCTIONS, *POWERS, *_WORDS)
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float, bool) and len(repr(node.value)) <= MOST_DIGITS
    return not _is_power(node) or _is_small_power(node)


def _is_symbol(node: ast.Call) -> bool:
    """Whether it is Symbol("s0", positive=True, integer=True), or with less said of the side."""
    names = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    said = all(key.arg in _ASSUMPTIONS and isinstance(key.value, ast.Constant) for key in node.keywords)
    return len(names) == len(node.args) == 1 and bool(_SIDE.fullmatch(names[0])) and said


def _is_power(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return _called(node) in POWERS
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)


def _is_small_power(node: ast.AST) -> bool:
    """Whether it is a power of what has no powers in it, by a small whole number: 9 ** 9 ** 9 takes for ever."""
    if isinstance(node, ast.Call):
        parts = node.args if _is_power(node) and len(node.args) == 2 else []
    else:
        parts = [node.left, node.right] if isinstance(node, ast.BinOp) else []
    if not parts or any(_is_power(inner) for inner in ast.walk(parts[0])):
        return False
    exponent = parts[1]
    if isinstance(exponent, ast.Call) and _called(exponent) == "Integer" and len(exponent.args) == 1:
        exponent = exponent.args[0]
    if isinstance(exponent, ast.UnaryOp):
        exponent = exponent.operand
    return isinstance(exponent, ast.Constant) and type(exponent.value) is int and exponent.value <= MOST_POWER


def _refusal(text: str) -> MayRunCode:
    return MayRunCode(f"has the shape {quoted(text)}, which is no arithmetic on sides")
