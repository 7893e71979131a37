"""Lets the site show each example of a docstring as code."""

from __future__ import annotations

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Reads a section ``Example:`` as ``Examples:``, in which doctests become blocks of code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section in the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
