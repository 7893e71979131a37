"""From a YAML file or a ready-made name, and overrides, to a `RunConfig`; or to an error that teaches."""

from __future__ import annotations

import copy
import difflib
import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from agentos.config import RunConfig
from protocols.errors import ConfigurationError
from protocols.spec import Kinds, Spec
from protocols.topologies import TOPOLOGIES, Topology


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a configuration.

    Attributes:
        path: of the field, dotted.
        given: its value, shortened; None where the value is not the point.
        allowed: what would be accepted.
        closest: the known name that is most like what was given.
    """

    path: str
    message: str
    given: str | None = None
    allowed: str | None = None
    closest: str | None = None


class InvalidConfiguration(ConfigurationError):
    """A configuration with one or more problems, each with its field.

    Args:
        origin: the file or name that was read.
        problems: what is wrong.
    """

    def __init__(self, origin: str, problems: Sequence[Problem]) -> None:
        described = "; ".join(f"{problem.path}: {problem.message}" for problem in problems)
        super().__init__(f"{origin}: {described}")
        self.origin = origin
        self.problems = tuple(problems)


def load(source: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a configuration and validate it.

    Args:
        source: path of a YAML file, or the name of a ready-made run.
        overrides: ``key.path=value`` each, the value in YAML.

    Raises:
        ConfigurationError: the file cannot be read, or an override is malformed.
        InvalidConfiguration: fields are unknown or out of range.
    """
    raw = apply_overrides(read_yaml(find(source)), overrides)
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        raise InvalidConfiguration(source, explain(error)) from error


def load_topology(kind: str, parameters: Sequence[str]) -> Topology:
    """Build one topology's specification from ``name=value`` parameters.

    Raises:
        InvalidConfiguration: the kind or a parameter is unknown, or a value out of range.
    """
    raw = {"topology": apply_overrides({"kind": kind}, parameters)}
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
        mend=f"did you mean {closest[0]!r}?" if closest else "check the path",
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigurationError: the file is not readable UTF-8 YAML, or not a mapping.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise ConfigurationError(
            f"{path} is not valid YAML: {where}{problem}",
            mend="look for a missing colon, quote or bracket, or a tab, on that line or above",
        ) from error
    if not isinstance(raw, dict):
        raise ConfigurationError(
            f"{path} is not a configuration",
            expected="keys such as name, data and training",
            actual="an empty file" if raw is None else f"a {type(raw).__name__}",
            mend="start from 'agentos show quickstart'",
        )
    return raw


def apply_overrides(raw: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a configuration with ``key.path=value`` set.

    A number in the path is a place in a list. Setting a ``kind`` drops the other keys beside it, since they
    were those of another kind.
    """
    changed = copy.deepcopy(dict(raw))
    # Kinds first, so that the order of overrides on a command line does not matter.
    for override in sorted(overrides, key=lambda text: not _key(text).endswith("kind")):
        key, value = _split(override)
        *parents, last = key.split(".")
        place: Any = changed
        for index, part in enumerate(parents):
            place = _child(place, part, ".".join(parents[: index + 1]))
        if last == "kind" and isinstance(place, dict) and place.get("kind") != value:
            place.clear()
        _set(place, last, value, key)
    return changed


def _key(override: str) -> str:
    return override.partition("=")[0].strip()


def _split(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", key.strip()):
        raise ConfigurationError(
            f"{override!r} is not an override",
            expected="key.path=value, such as training.rounds=4",
            mend="write the dotted path of a field, an equals sign and its value, without spaces",
        )
    try:
        return key.strip(), yaml.safe_load(text)
    except yaml.YAMLError:
        return key.strip(), text


def _child(place: Any, part: str, path: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, part, path)]
    child = place.get(part)
    if isinstance(child, str):  # a bare kind: give it a place for its parameters
        child = {"kind": child}
    elif not isinstance(child, (dict, list)):
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
    raise ConfigurationError(
        f"override {path}: no such place in the list",
        expected=f"a number from 0 to {len(place) - 1}",
        actual=part,
        mend="write the whole list instead, such as objectives=[{kind: info_nce}]",
    )


def explain(error: ValidationError, root: type[Spec] = RunConfig) -> list[Problem]:
    """Turn pydantic's errors into problems that name the field, the value and what is allowed."""
    items = error.errors(include_url=False)
    # A list that lost an invalid item complains of its length too: that is no second problem.
    causes = [item for item in items if item["type"] != "too_short"]
    return [
        _problem(dict(item), root)
        for item in items
        if item in causes or not any(_is_within(cause["loc"], item["loc"]) for cause in causes)
    ]


def _is_within(inner: tuple[str | int, ...], outer: tuple[str | int, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _problem(item: dict[str, Any], root: type[Spec]) -> Problem:
    path, model = _walk(item["loc"], root)
    dotted = ".".join(str(part) for part in path) or "the run"
    context = item.get("ctx") or {}
    given = _short(item["input"])
    if item["type"] == "extra_forbidden":
        names = sorted(model.model_fields) if model else []
        return Problem(
            dotted, "unknown key", allowed=", ".join(names), closest=_closest(path[-1], names)
        )
    if item["type"] == "union_tag_invalid":
        kinds = [
            tag for tag in re.findall(r"'([^']*)'", context["expected_tags"]) if " " not in tag
        ]
        return Problem(
            f"{dotted}.kind", "unknown kind", context["tag"], ", ".join(kinds),
            _closest(context["tag"], kinds),
        )  # fmt: skip
    if item["type"] == "union_tag_not_found":
        return Problem(dotted, "no kind is given", given, "a kind, or a mapping with a kind")
    if item["type"] == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"])
        return Problem(dotted, "not a known value", given, ", ".join(names), _closest(given, names))
    message = re.sub(r"^Value error, ", "", item["msg"])
    if item["type"] == "value_error" and isinstance(item["input"], (Mapping, Spec)):
        return Problem(dotted, message)
    return Problem(dotted, message[0].lower() + message[1:], given)


def _walk(
    location: Iterable[str | int], root: type[Spec]
) -> tuple[list[str | int], type[Spec] | None]:
    """Follow an error's location; return the path as the user wrote it, and the model it ends in.

    A union adds the name of the branch to the location. It is no part of what the user wrote.
    """
    path: list[str | int] = []
    model: Any = root
    last: Any = None
    for part in location:
        table = _table(model)
        if table is not None and part in table:
            model = table[str(part)]
            continue
        last = model
        path.append(part)
        field = getattr(model, "model_fields", {}).get(part)
        model = _item(model) if isinstance(part, int) else field
        if isinstance(model, FieldInfo) and _table(model) is None:
            model = _unwrap(model.annotation)
    return path, last if isinstance(last, type) and issubclass(last, Spec) else None


def _table(model: Any) -> Mapping[str, type[Spec]] | None:
    metadata = (
        model.metadata if isinstance(model, FieldInfo) else getattr(model, "__metadata__", ())
    )
    return next((entry.table for entry in metadata if isinstance(entry, Kinds)), None)


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
