"""Problems of a configuration, field by field, each with the given value and the allowed values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from agentos.data.printable_text import Problem
from protocols.errors import ConfigurationError
from protocols.spec import CUSTOM, Kinds, Spec

_PLAIN = {
    "missing": "is required",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
}
"""Replacements for messages in which pydantic uses terms of Python."""


class InvalidConfiguration(ConfigurationError):
    """A configuration with one or more problems, each with its field.

    Args:
        origin: the file or name that was read.
        problems: the problems, at least one.
    """

    def __init__(self, origin: str, problems: Sequence[Problem]) -> None:
        described = "; ".join(f"{problem.path}: {problem.message}" for problem in problems)
        super().__init__(f"{origin}: {described}")
        self.origin = origin
        self.problems = tuple(problems)


def explain(error: ValidationError, root: type[Spec]) -> list[Problem]:
    """Turn pydantic's errors into problems that name the field, the value and what is allowed.

    Args:
        error: error of validating `root`.
        root: the class that was to be built.
    """
    items = error.errors(include_url=False)
    # A list that lost an invalid item is also reported as too short: that is not a second problem.
    causes = [item for item in items if item["type"] != "too_short"]
    by_path: dict[str, Problem] = {}
    for item in items:
        if item in causes or not any(_is_within(cause["loc"], item["loc"]) for cause in causes):
            problem = _problem(dict(item), root)
            # Every branch of a union reports an error, all of them about one value.
            earlier = by_path.get(problem.path)
            by_path[problem.path] = _either(earlier, problem) if earlier else problem
    return list(by_path.values())


def _is_within(inner: tuple[str | int, ...], outer: tuple[str | int, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _either(first: Problem, second: Problem) -> Problem:
    allowed = "; or: ".join(problem.allowed or problem.message for problem in (first, second))
    return replace(first, message="fits nothing that is allowed", allowed=allowed)


def _problem(item: dict[str, Any], root: type[Spec]) -> Problem:
    place = _walk(item["loc"], root)
    dotted = ".".join(str(part) for part in place.path) or "the run"
    given = _short(item["input"])
    match item["type"]:
        case "extra_forbidden":
            fields = place.model.model_fields if place.model else {}
            names = sorted(field.alias or name for name, field in fields.items())
            closest = _closest(place.path[-1], names)
            return Problem(dotted, "unknown key", allowed=", ".join(names), closest=closest)
        case "union_tag_invalid":
            tag = item["ctx"]["tag"]
            kinds = list(place.kinds)
            return Problem(
                f"{dotted}.kind", "unknown kind", tag, ", ".join(kinds), _closest(tag, kinds)
            )
        case "union_tag_not_found" | "is_instance_of" if place.kinds:
            message = "no kind is given; name one, or give a mapping with the key kind"
            return Problem(dotted, message, given, ", ".join(place.kinds))
        case "literal_error":
            names = re.findall(r"'([^']*)'", item["ctx"]["expected"])
            closest = _closest(given, names)
            return Problem(dotted, "not a known value", given, ", ".join(names), closest)
    message = re.sub(r"^Value error, ", "", _PLAIN.get(item["type"], item["msg"]))
    message = re.sub(r"^Tuple", "The list", message)
    if item["type"] == "value_error" and isinstance(item["input"], (Mapping, Spec)):
        return Problem(dotted, message)
    return Problem(dotted, message[0].lower() + message[1:], given)


@dataclass(frozen=True)
class _Place:
    """The place of an error: the path as the user wrote it, the model it ends in, the kinds there."""

    path: list[str | int]
    model: type[Spec] | None
    kinds: Mapping[str, type[Spec]]


def _walk(location: Iterable[str | int], root: type[Spec]) -> _Place:
    """Follow an error's location.

    A union adds the name of the branch to the location. The user did not write it.
    """
    path: list[str | int] = []
    model: Any = root
    last: Any = None
    for part in location:
        table = _table(model)
        if part in table:
            model = table[str(part)]
            continue
        # Below a kind from outside its table, whose fields are not known here, every part is a field.
        known = _is_spec(model) or bool(table)
        if part == CUSTOM or (isinstance(part, str) and not known and model is not None):
            continue
        last = model
        path.append(part)
        field = getattr(model, "model_fields", {}).get(part)
        model = _item(model) if isinstance(part, int) else field
        if isinstance(model, FieldInfo) and not _table(model):
            model = _unwrap(model.annotation)
    return _Place(path, last if _is_spec(last) else None, _table(model))


def _is_spec(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, Spec)


def _table(model: Any) -> Mapping[str, type[Spec]]:
    metadata = (
        model.metadata if isinstance(model, FieldInfo) else getattr(model, "__metadata__", ())
    )
    return next((entry.table for entry in metadata if isinstance(entry, Kinds)), {})


def _unwrap(annotation: Any) -> Any:
    """Take the model out of ``Model | None``; leave a list's type to `_item`."""
    options = [option for option in get_args(annotation) if option is not type(None)]
    is_union = type(None) in get_args(annotation)
    return options[0] if is_union and options else annotation


def _item(annotation: Any) -> Any:
    arguments = get_args(annotation)
    return arguments[0] if arguments else None


def _closest(given: object, names: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(str(given), names, n=1, cutoff=0.5)), None)


def _short(value: Any, limit: int = 80) -> str:
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= limit else text[: limit - 1] + "…"
