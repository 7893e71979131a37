"""Kinds from outside: classes that a user wrote, imported only from packages that are trusted.

A kind is then the place of its class, ``package.module:Class``, or the name under which an installed package
announces it in the entry points of the group ``agentos.plugins``.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "agentos.plugins"
"""The group of entry points that announces kinds."""

_OWN = ("protocols", "agents", "agentos", "experiments")
"""The packages of AgentOS, whose classes are known by their kinds."""

REFERENCE = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
"""The place of a class: ``package.module:Class``."""


@dataclass(frozen=True)
class TrustedPlugins:
    """Packages whose code may be imported; the context under which a configuration is validated.

    Args:
        names: names of packages or modules; everything in them is trusted, too.

    Example:
        >>> TrustedPlugins(frozenset({"mine"})).cover("mine.exchange")
        True
        >>> TrustedPlugins(frozenset({"mine"})).cover("minefield")
        False
    """

    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, names: Iterable[str] | None) -> TrustedPlugins:
        """Return the packages of these names; none by default."""
        return cls(frozenset(names or ()))

    def cover(self, module: str) -> bool:
        """Return whether a module is one of these, or lies in one."""
        return any(module == name or module.startswith(f"{name}.") for name in self.names)


def announced() -> tuple[EntryPoint, ...]:
    """Return the kinds that installed packages announce, in the order of their names; import nothing."""
    from importlib.metadata import entry_points  # a hundredth of a second that few commands need

    return tuple(sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)))


def plugin_class(kind: str, trusted: TrustedPlugins, base: type) -> type | None:
    """Return the class that a kind names; None if it names neither a place nor an entry point.

    Args:
        kind: ``package.module:Class``, or the name of an entry point.
        trusted: packages that may be imported.
        base: class that it must be derived from.

    Raises:
        ValueError: the package is not trusted, cannot be imported, or holds no such class.
    """
    place = kind if re.fullmatch(REFERENCE, kind) else _announced_place(kind)
    if place is None:
        return None
    module, _, name = place.partition(":")
    if not trusted.cover(module):
        package = module.split(".")[0]
        raise ValueError(
            f"kind {kind} is code of the package {package}, which is imported only if you trust it; add "
            f"--trust-plugins {package} if you do"
        )
    found = getattr(_imported(module, kind), name, None)
    if not isinstance(found, type):
        raise ValueError(f"kind {kind}: the module {module} has no class {name}")
    if not issubclass(found, base):
        wanted = getattr(base, "__name__", str(base))
        raise ValueError(f"kind {kind}: the class {name} is no {wanted}, so it cannot stand here")
    missing = getattr(found, "__abstractmethods__", ())
    if missing:
        raise ValueError(f"kind {kind}: the class {name} lacks {', '.join(sorted(missing))}")
    return found


def place_of(cls: type) -> str | None:
    """Return the place of a user's class; None for one of AgentOS, of a script, or inside a function.

    Example:
        >>> import collections
        >>> place_of(collections.OrderedDict), place_of(TrustedPlugins)
        ('collections:OrderedDict', None)
    """
    module = cls.__module__
    if module == "__main__" or module.split(".")[0] in _OWN:
        return None
    found = getattr(sys.modules.get(module), cls.__qualname__, None)
    return f"{module}:{cls.__qualname__}" if found is cls else None


def _announced_place(kind: str) -> str | None:
    places = {entry.value.split("[")[0].strip() for entry in announced() if entry.name == kind}
    if len(places) > 1:
        raise ValueError(
            f"kind {kind} is announced by several packages; name one: {', '.join(sorted(places))}"
        )
    place = next(iter(places), None)
    if place is not None and not re.fullmatch(REFERENCE, place):
        raise ValueError(f"kind {kind}: its entry point {place} is not like package.module:Class")
    return place


def _imported(module: str, kind: str) -> object:
    try:
        return importlib.import_module(module)
    except Exception as error:  # a user's code may raise anything
        raise ValueError(
            f"kind {kind}: importing {module} failed: {type(error).__name__}: {error}"
        ) from error
