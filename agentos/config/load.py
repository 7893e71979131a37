"""Load a `RunConfig` from a YAML file or a ready-made name, and overrides."""

from __future__ import annotations

import copy
import difflib
import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import ValidationError

from agentos.config.field_errors import InvalidConfiguration, explain
from agentos.config.run import RunConfig
from agentos.config.shorthand import spelled_out
from agentos.data.yaml_text import parse_yaml
from agentos.data.yaml_values import Loader, parse_value
from protocols.errors import ConfigurationError
from protocols.plugins import TrustedPlugins
from protocols.spec import Kinds, Spec
from protocols.topologies import TOPOLOGIES, Topology

Configuration = TypeVar("Configuration", bound=Spec)
PATH = re.compile(r"[\w-]+(\.[\w-]+)*")
"""The dotted path of a field."""


def load(
    source: str, overrides: Sequence[str] = (), trusted: Iterable[str] | None = ()
) -> RunConfig:
    """Read a configuration and validate it.

    Args:
        source: path of a YAML file, or the name of a ready-made run.
        overrides: ``key.path=value`` each, the value in YAML.
        trusted: packages whose classes may be imported as kinds.

    Raises:
        ConfigurationError: the file cannot be read, or an override is malformed.
        InvalidConfiguration: fields are unknown or out of range.
    """
    return load_as(RunConfig, source, overrides, trusted)


def load_as(
    root: type[Configuration],
    source: str,
    overrides: Sequence[str],
    trusted: Iterable[str] | None = (),
) -> Configuration:
    """Read a configuration of any class; see `load`."""
    raw = apply_overrides(read_yaml(find(source)), overrides, root)
    try:
        return root.model_validate(raw, context=TrustedPlugins.of(trusted))
    except ValidationError as error:
        raise InvalidConfiguration(source, explain(error, root)) from error


def load_topology(kind: str, parameters: Sequence[str]) -> Topology:
    """Build one topology's specification from ``name=value`` parameters.

    Raises:
        InvalidConfiguration: the kind or a parameter is unknown, or a value out of range.
    """
    raw = {"topology": apply_overrides({"kind": kind}, parameters, Topology)}
    try:
        return _OneTopology.model_validate(raw).topology
    except ValidationError as error:
        raise InvalidConfiguration("topology", explain(error, _OneTopology)) from error


class _OneTopology(Spec):
    topology: Annotated[Topology, Kinds(TOPOLOGIES)]


def ready_made() -> dict[str, Path]:
    """Return the ready-made runs: name to file."""
    spec = importlib.util.find_spec("experiments")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return {path.stem: path for folder in folders for path in sorted(Path(folder).glob("*.yaml"))}


def find(source: str) -> Path:
    """Return the file that a path or a ready-made name means."""
    path = Path(source)
    if path.is_file():
        return path
    runs = ready_made()
    if source in runs:
        return runs[source]
    closest = difflib.get_close_matches(source, runs, n=1)
    raise ConfigurationError(
        f"there is no configuration {source!r}",
        expected=f"a YAML file, or a ready-made run: {', '.join(runs)}",
        actual="a folder" if path.is_dir() else "neither a file nor a ready-made name",
        hint=f"did you mean {closest[0]!r}?" if closest else "check the path",
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigurationError: the file is not readable UTF-8 YAML, or not a mapping.
    """
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"), Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error}", hint="give a YAML file in UTF-8"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise ConfigurationError(
            f"{path} is not valid YAML: {where}{problem}",
            hint="look for a missing colon, quote or bracket, or a tab, on that line or above",
        ) from error
    if not isinstance(raw, dict):
        raise ConfigurationError(
            f"{path} is not a configuration",
            expected="keys such as name, data and training",
            actual="an empty file" if raw is None else f"a {type(raw).__name__}",
            hint="start from 'agentos show quickstart'",
        )
    return raw


def apply_overrides(
    raw: Mapping[str, Any], overrides: Sequence[str], root: type[Spec] = RunConfig
) -> dict[str, Any]:
    """Return a configuration with ``key.path=value`` set.

    A number in the path is a place in a list. Setting a ``kind`` drops the other keys of that mapping, since
    they belong to another kind. Short forms of kinds are spelled out, so that there is a place for every
    parameter.

    Args:
        raw: plain values.
        overrides: overrides to apply.
        root: class to build from the values.
    """
    return set_fields(raw, dict(map(_split, overrides)), root)


def set_fields(
    raw: Mapping[str, Any], fields: Mapping[str, Any], root: type[Spec] = RunConfig
) -> dict[str, Any]:
    """Return a configuration with fields set by their dotted paths, as `apply_overrides` does.

    Example:
        >>> set_fields({"topology": {"kind": "ring", "hops": 2}}, {"topology.kind": "complete"})
        {'topology': {'kind': 'complete'}}
    """
    changed: dict[str, Any] = copy.deepcopy(dict(raw))
    # Wholes before their parts and kinds first, so that the order on a command line does not matter.
    for key, value in sorted(fields.items(), key=lambda pair: _rank(pair[0])):
        *parents, last = key.split(".")
        place: Any = spelled_out(changed, root)
        changed = place
        for index, part in enumerate(parents):
            place = _child(place, part, ".".join(parents[: index + 1]))
            if isinstance(place, dict) and not place and (*parents, last)[index + 1].isdigit():
                raise _no_place(".".join(parents[: index + 1]), "a list", "nothing is listed there")
        if last == "kind" and isinstance(place, dict) and place.get("kind") != value:
            place.clear()
        _set(place, last, value, key)
    return changed


def _rank(key: str) -> tuple[int, bool]:
    *parents, last = key.split(".")
    return len(parents), last != "kind"


def _split(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not PATH.fullmatch(key.strip()):
        raise ConfigurationError(
            f"{override!r} is not an override",
            expected="key.path=value, such as training.rounds=4",
            hint="write the dotted path of a field, an equals sign and its value, without spaces",
        )
    return key.strip(), parse_value(text)


def _child(place: Any, part: str, path: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, part, path)]
    child = place.get(part)
    if not isinstance(child, (dict, list)):
        child = {}
    place[part] = child
    return child


def _set(place: Any, part: str, value: Any, path: str) -> None:
    if isinstance(place, list):
        place[_position(place, part, path)] = value
    else:
        place[part] = value


def _position(place: list[Any], part: str, path: str) -> int:
    if part.isdigit() and int(part) < len(place):
        return int(part)
    raise _no_place(path, f"a number from 0 to {len(place) - 1}", part)


def _no_place(path: str, expected: str, actual: str) -> ConfigurationError:
    return ConfigurationError(
        f"override {path}: no such place in a list",
        expected=expected,
        actual=actual,
        hint="write the whole list instead, such as objectives=[{kind: info_nce}]",
    )
