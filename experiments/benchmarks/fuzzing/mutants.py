"""Change the program at random places, and see whether the tests of each place notice.

``python -m experiments.benchmarks.fuzzing.mutants --mutants 60``

A mutant differs from the program in one expression: a comparison, an operator, a number, a condition, a
truth value, or a call that is left out. The tests that mirror its file run on a copy of the tree, then those
that import its module; tests that are slow do not. A mutant that every test passes has survived: either a
test is missing, or the mutant does what the program does.
"""

from __future__ import annotations

import ast
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from protocols.seeding import generator

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "experiments" / "results" / "mutants.md"
PACKAGES = ("protocols", "agents", "agentos")
APART = ("agentos/cli/", "agentos/reporting/", "agentos/runtime/ray/", "agents/models/cpu/")
"""What is shown, what needs Ray, and tricks whose only effect is time."""
COPIED = (
    *PACKAGES,
    "experiments",
    "tests",
    "docs",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
)
CPU_S, WALL_S = 180, 1800.0
"""Bounds on the tests of a mutant; the time of the processor is what a loop without an end uses up."""
MOST_IMPORTING = 6
"""Test files, other than the mirrored ones, that a mutant is shown to."""

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


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a file.

    Example:
        >>> [mutant.after for mutant in mutants_of("a.py", "def f(n):\\n    return n + 1 < 3\\n")]
        ['(n + 1 <= 3)', '(n - 1)', '(4)', '(2)']
    """
    for node in _logic(ast.parse(source)):
        for after in _changes(node):
            before = ast.get_source_segment(source, node)
            if before is None:
                continue
            yield Mutant(path, node.lineno, before, after, _replaced(source, node, after))


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
        changed = ast.Constant(node.value + 1 if isinstance(node.value, int) else node.value * 2)
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


def drawn(seed: int, count: int) -> list[Mutant]:
    """Draw mutants: a file by its number of mutants, then one of them."""
    found = [
        mutant
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if not (name := path.relative_to(ROOT).as_posix()).startswith(APART)
        for mutant in mutants_of(name, path.read_text(encoding="utf-8"))
    ]
    order = generator(seed, "mutants").permutation(len(found))
    return [found[int(index)] for index in order[:count]]


def suites_of(path: str) -> tuple[list[str], list[str]]:
    """Return the test files that mirror a file, and others that import its module."""
    file = ROOT / path
    room = ROOT / "tests" / Path(path).parent
    mirrored = sorted(room.glob(f"test_{file.stem}*.py"))
    module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    package, _, stem = module.rpartition(".")
    imports = re.compile(
        rf"(from|import) {re.escape(module)}\b|from {re.escape(package)} import [^\n]*\b{stem}\b"
    )
    every = [*sorted(room.glob("test_*.py")), *sorted((ROOT / "tests").rglob("test_*.py"))]
    others = [
        test
        for test in dict.fromkeys(every)
        if test not in mirrored
        and (test.parent == room or imports.search(test.read_text(encoding="utf-8")))
    ]
    others.sort(key=lambda test: not imports.search(test.read_text(encoding="utf-8")))
    relative = [
        [test.relative_to(ROOT).as_posix() for test in each]
        for each in (mirrored, others[:MOST_IMPORTING])
    ]
    return relative[0], relative[1]


def survives(mutant: Mutant, tree: Path) -> bool:
    """Run the tests of a mutant in a copy of the tree; a test that does not end counts as one that fails."""
    file = tree / mutant.path
    before = file.read_text(encoding="utf-8")
    file.write_text(mutant.source, encoding="utf-8")
    try:
        return all(_pass(tests, tree) for tests in suites_of(mutant.path) if tests)
    finally:
        file.write_text(before, encoding="utf-8")


def _pass(tests: Sequence[str], tree: Path) -> bool:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
    ]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, "-m", "not slow and not ray and not own_ray", *tests],
            cwd=tree,
            env={**environment, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=WALL_S,
            preexec_fn=_bound_time,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode in (0, 5)  # 5: no test was collected


def _bound_time() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))


def main(
    mutants: Annotated[int, typer.Option(help="Number of mutants.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed that draws them.")] = 0,
    first: Annotated[int, typer.Option(help="Number of the first one to try.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Table, in Markdown.")] = RESULTS,
) -> None:
    """Draw mutants, run their tests, and list those that survive."""
    tried: list[tuple[Mutant, bool, float]] = []
    with TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in COPIED:
            path = ROOT / name
            (shutil.copytree if path.is_dir() else shutil.copy)(path, tree / name)
        for number, mutant in enumerate(drawn(seed, first + mutants)[first:], first):
            began = time.perf_counter()
            alive = survives(mutant, tree)
            tried.append((mutant, alive, time.perf_counter() - began))
            state = "SURVIVED" if alive else "killed"
            sys.stdout.write(f"{number} {state} {tried[-1][2]:.0f} s {mutant}\n")
            sys.stdout.flush()
            if out is not None:
                out.write_text(table(tried, seed, first), encoding="utf-8")


def table(tried: Sequence[tuple[Mutant, bool, float]], seed: int, first: int) -> str:
    """Return the counts by package and the survivors, in Markdown."""
    lines = [
        "# Mutants of the program, and the tests that notice them",
        "",
        f"`python -m experiments.benchmarks.fuzzing.mutants --mutants {len(tried)} --seed {seed} "
        f"--first {first}`: one changed expression at a time; its quick tests run.",
        "",
        "| package | mutants | killed | survived |",
        "|---|---:|---:|---:|",
    ]
    for package in (*PACKAGES, ""):
        alive = [each for mutant, each, _ in tried if mutant.path.startswith(package)]
        name, survived = package or "all", sum(alive)
        lines.append(f"| {name} | {len(alive)} | {len(alive) - survived} | {survived} |")
    lines += ["", "Survivors:", ""]
    lines += [f"- `{' '.join(str(mutant).split())}`" for mutant, alive, _ in tried if alive]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
