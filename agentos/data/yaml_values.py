"""Values in YAML: one meaning of a number, in files, in overrides and in what is written."""

from __future__ import annotations

import re
from typing import Any

import yaml

from agentos.data.yaml_text import BeyondBounds, StrictLoader, parse_yaml
from protocols.errors import ConfigurationError

_REPLACED = ("int", "float", "timestamp")
_FLOAT = re.compile(
    r"[-+]?(?:(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.(?:inf|Inf|INF))"
    r"|\.(?:nan|NaN|NAN)"
)
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[\da-fA-F_]+|\d[\d_]*)")
_LEADING_ZERO = re.compile(r"[-+]?0[\d_]*\d")


class LeadingZero(yaml.MarkedYAMLError):
    """A number such as 010, which is eight to some readers of YAML and ten to others."""


class Loader(StrictLoader):
    """Takes ``1e6`` and ``1.25e6`` for numbers, as JSON and YAML 1.2 do, and refuses what is ambiguous.

    A whole number with a leading zero is refused. Dates and times stay text.
    """

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Return a whole number, refusing one with a leading zero."""
        text = str(self.construct_scalar(node))
        if _LEADING_ZERO.fullmatch(text):
            raise LeadingZero(
                problem=f"{text} is octal to some readers of YAML and decimal to others; write it without "
                "the leading zero, as 0o... if it is octal, or in quotes if it is text",
                problem_mark=node.start_mark,
            )
        try:
            return int(text.replace("_", ""), 0)
        except ValueError as error:
            raise yaml.MarkedYAMLError(
                problem=f"{text[:20]} is no number", problem_mark=node.start_mark
            ) from error


class _Dumper(yaml.SafeDumper):
    """Quotes text that `Loader` would take for a number."""


for _class in (Loader, _Dumper):
    _class.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if not pair[0].endswith(_REPLACED)]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for _name, _pattern in (("int", _INT), ("float", _FLOAT)):
        _whole = re.compile(f"(?:{_pattern.pattern})$")
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _whole, list("-+.0123456789"))
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)


def parse_value(text: str) -> Any:
    """Return the value of an override: as in a file, and text where it is no YAML.

    An override has no comments: in ``path=run #1/a.txt`` everything after the equals sign is the path.

    Raises:
        ConfigurationError: a number has a leading zero, a key stands twice, or the text is beyond bounds.

    Example:
        >>> parse_value("{kind: fixed, value: 1.25e6}"), parse_value("a,b [1].txt"), parse_value("run #1")
        ({'kind': 'fixed', 'value': 1250000.0}, 'a,b [1].txt', 'run #1')
    """
    plain = text.strip()
    try:
        node = yaml.compose(plain, Loader=Loader)
        if node is not None and node.end_mark.index < len(plain):
            return plain
        return parse_yaml(plain, Loader)
    except (BeyondBounds, LeadingZero) as error:
        raise _unusable(text, str(error.problem)) from error
    except yaml.YAMLError as error:
        problem = str(getattr(error, "problem", error))
        if "given twice" in problem:
            raise _unusable(text, problem) from error
        return text


def _unusable(text: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"the value {text[:60]!r} cannot be used: {problem}",
        hint="put text in quotes, such as path='\"010\"'",
    )


def dump(values: Any, allow_unicode: bool = True) -> str:
    """Return values as YAML that `Loader` reads back as they are."""
    text = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=allow_unicode)
    return str(text)
