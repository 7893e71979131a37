"""Extract the docstrings of Python files: a script that needs only the standard library.

It runs by path in a fresh isolated interpreter (``python -I -S docstring_worker.py``), so it starts
in milliseconds, never re-imports the caller's script, and never forks a process that runs torch or Ray.

Standard input: JSON ``{"files": [[path, prefix], ...], "minimum_words": int}``.
Standard output: JSON ``{"documents": [[id, text], ...], "unparsed": [path, ...]}``.
"""

from __future__ import annotations

import ast
import gc
import json
import sys
import warnings
from collections.abc import Iterator

# Bodies that can hold a definition; expressions cannot, and skipping them gives most of the speed.
BODIES = ("body", "handlers", "orelse", "finalbody", "cases")


def docstrings(source: bytes) -> Iterator[tuple[str, str]]:
    """Yield (qualified name, cleaned docstring) of a module and its definitions, in file order.

    A name defined again (an overload, a setter) gets ``#2``, ``#3``, so names are unique.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: the file does not parse.

    Example:
        >>> list(docstrings(b'"Top."\\nclass A:\\n    "One."\\n    def f(self):\\n        "Two."'))
        [('<module>', 'Top.'), ('A', 'One.'), ('A.f', 'Two.')]
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in third-party code
        tree = ast.parse(source)
    seen: dict[str, int] = {}
    stack: list[tuple[ast.AST, str]] = [(tree, "")]
    while stack:
        node, scope = stack.pop()
        name = scope
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if not isinstance(node, ast.Module):
                name = f"{scope}.{node.name}" if scope else node.name
            text = ast.get_docstring(node)
            if text:
                count = seen[name] = seen.get(name, 0) + 1
                yield (name or "<module>") + (f"#{count}" if count > 1 else ""), text
        children = [child for field in BODIES for child in _nodes(getattr(node, field, None))]
        stack.extend((child, name) for child in reversed(children))


def _nodes(value: object) -> list[ast.AST]:
    # The body of a lambda or of a conditional expression is one expression, not a list.
    return [item for item in value if isinstance(item, ast.AST)] if isinstance(value, list) else []


def collect(files: list[list[str]], minimum_words: int) -> dict[str, list[list[str]] | list[str]]:
    """Return the docstrings of the files, and the paths that do not parse.

    Args:
        files: (path, prefix of the ids) pairs.
        minimum_words: shorter docstrings are left out; those beyond ASCII are for the caller to count.
    """
    documents: list[list[str]] = []
    unparsed: list[str] = []
    for path, prefix in files:
        with open(path, "rb") as stream:
            source = stream.read()
        if b'"' not in source and b"'" not in source:
            continue
        try:
            found = [
                [f"{prefix}:{name}", text]
                for name, text in docstrings(source)
                if not text.isascii() or len(text.split()) >= minimum_words
            ]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            unparsed.append(path)
        else:
            documents.extend(found)
    return {"documents": documents, "unparsed": unparsed}


if __name__ == "__main__":
    gc.disable()  # trees have no cycles; without the collector parsing is a quarter faster
    json.dump(collect(**json.loads(sys.stdin.buffer.read())), sys.stdout)
