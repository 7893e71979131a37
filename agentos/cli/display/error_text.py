"""Errors as the command line prints them."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from agentos.config.field_errors import InvalidConfiguration
from protocols.errors import AgentOSError


def show_error(console: Console, error: AgentOSError) -> None:
    """Print an error: what is wrong, what was given, what is allowed, and the hint."""
    if isinstance(error, InvalidConfiguration):
        console.print(f"[red]invalid configuration[/] {escape(error.origin)}")
        for problem in error.problems:
            console.print(
                f"  [bold]{escape(problem.path)}[/]: {escape(problem.message)}",
                highlight=False,
                soft_wrap=True,
            )
            details = {
                "given": problem.given,
                "allowed": problem.allowed,
                "did you mean": problem.closest,
            }
            for label, text in details.items():
                if text:
                    console.print(f"    {label}: {escape(text)}", highlight=False, soft_wrap=True)
        return
    console.print(f"[red]error[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    details = {"expected": error.expected, "given": error.actual, "hint": error.hint}
    for label, text in details.items():
        if text:
            console.print(f"  {label}: {escape(text)}", highlight=False, soft_wrap=True)
