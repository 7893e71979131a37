"""Changes of one expression of a Python file: a comparison, an operator, a number, a call left out."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
SPOKEN = {"Field", "warning", "info", "debug", "error", "overload", "cast", "TypeVar"}
"""Calls whose arguments describe, and compute nothing."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        path: the file, relative to the tree.
        line: where the change is.
        before, after: the expression, and what stands in its place.
        source: the whole file after the change.
    """

    path: str
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before} -> {self.after}"


Change = tuple[ast.expr | ast.stmt, str]
"""A node, and what may stand in its place."""


def changes_of(source: str) -> Iterator[Change]:
    """Yield every change of a file."""
    for node in _logic(ast.parse(source)):
        for after in _changes(node):
            yield node, after


def mutant_of(path: str, source: str, change: Change) -> Mutant:
    """Return a file after a change."""
    node, after = change
    before = ast.get_source_segment(source, node) or ""
    return Mutant(path, node.lineno, before, after, _replaced(source, node, after))


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a file.

    Example:
        >>> [mutant.after for mutant in mutants_of("a.py", "def f(n):\\n    return n + 1 < 3\\n")]
        ['(n + 1 <= 3)', '(n - 1)', '(4)', '(2)']
    """
    return (mutant_of(path, source, change) for change in changes_of(source))


def _logic(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Yield the nodes of functions' bodies, without annotations, errors and descriptions."""
    pending: list[ast.AST] = [tree]
    inside: set[ast.AST] = set()
    while pending:
        node = pending.pop(0)
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom)):
            continue
        if isinstance(node, ast.Call) and _name(node.func) in SPOKEN:
            continue
        if node in inside and isinstance(node, (ast.expr, ast.stmt)):
            yield node
        children: Sequence[ast.AST] = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.FunctionDef):
            children = [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]
        elif isinstance(node, ast.AnnAssign):
            children = [node.value] if node.value is not None else []
        elif isinstance(node, ast.ClassDef):
            children = node.body
        if node in inside or isinstance(node, ast.FunctionDef):
            inside.update(children)
        pending.extend(children)


def _changes(node: ast.AST) -> Iterator[str]:
    """Yield what may stand in the place of a node."""
    changed: ast.AST | None = None
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
        changed = ast.Compare(node.left, [COMPARISONS[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and not _holds_text(node):
        changed = ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.BoolOp):
        changed = ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        changed = node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        changed = ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        changed = ast.Constant(
            node.value + 1 if isinstance(node.value, int) else node.value * 2 or 1.0
        )
    elif isinstance(node, ast.Call) and _name(node.func) in ("min", "max"):
        other = ast.Name("max" if _name(node.func) == "min" else "min")
        if isinstance(node.func, ast.Name):
            changed = ast.Call(other, node.args, node.keywords)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        if _name(node.value.func) not in SPOKEN:
            yield "pass"
    elif isinstance(node, ast.IfExp):
        changed = ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    if changed is not None:
        yield f"({ast.unparse(changed)})" if isinstance(node, ast.expr) else ast.unparse(changed)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _holds_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, (str, bytes)))
        for side in (node.left, node.right)
    )


def _replaced(source: str, node: ast.expr | ast.stmt, text: str) -> str:
    """Replace a node's text; positions in a line count bytes of UTF-8."""
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
    data = source.encode()
    return (data[:begin] + text.encode() + data[end:]).decode()
