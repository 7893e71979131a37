"""A fitted society in a folder: numbers in safetensors, the rest in JSON. Reading one runs no code.

Values are frozen dataclasses and specifications of the classes listed here, or a user's own of a trusted
package; a file that names another one is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from agentos.records.atomic_files import damaged, inside, replacing, write_json
from agentos.tasks.config import CompositeTask, GenerateTask, RankTask, Task
from agentos.tasks.cooperation import (
    Cascade,
    Distilled,
    Divided,
    MasterSlave,
    Member,
    Peers,
    Single,
)
from agentos.tasks.decomposition import DECOMPOSITIONS, Division, Part
from agentos.tasks.decomposition.part_heads import FittedDivision, PartHead
from agentos.tasks.library import ModelCard
from agentos.tasks.scheduling import SCHEDULERS
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.parts_society import PartsInOrder
from agentos.tasks.society.search_society import Holding, SearchSociety
from agentos.tasks.society.writing_society import WritingSociety
from agents.answering import FUSIONS, DeferralRule, FittedFusion, Head
from agents.answering.fuse import VotePool
from agents.answering.scorers import DoubtScorer, RandomScorer
from agents.answering.stacking import StackedPool
from protocols.errors import RecordError
from protocols.plugins import TrustedPlugins, place_of, plugin_class
from protocols.spec import Spec, written

SOCIETY = "society"
"""Folder of a society in that of its task."""
_VALUES, _ARRAYS = "society.json", "society.safetensors"
_FORMAT = 1
_MOST_BYTES = 1 << 30
_CLASSES: Mapping[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        *(FittedSociety, Task, Member, ModelCard, Head, Single, MasterSlave, Peers, Cascade),
        *(FittedFusion, StackedPool, VotePool, DeferralRule),
        *(DoubtScorer, RandomScorer),
        *(Distilled, Divided, FittedDivision, Division, Part, PartHead),
        *(*FUSIONS.values(), *DECOMPOSITIONS.values(), *SCHEDULERS.values()),
        *(
            SearchSociety,
            Holding,
            WritingSociety,
            PartsInOrder,
            RankTask,
            GenerateTask,
            CompositeTask,
        ),
    )
}
Kept = FittedSociety | SearchSociety | WritingSociety | PartsInOrder
"""Societies that can be saved."""
Wanted = TypeVar("Wanted", bound=Kept)


def save_society(society: Kept, folder: Path) -> None:
    """Write a society into a folder, whole or not at all.

    Raises:
        RecordError: the folder cannot be written to.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    values = _plain(society, arrays)
    with replacing(folder / _ARRAYS) as draft:
        save_file(arrays, draft)
    digest = _digest(folder / _ARRAYS)
    write_json(folder / _VALUES, {"format": _FORMAT, "arrays": digest, "society": values})


def load_society(folder: Path, trusted: Iterable[str] | None = ()) -> FittedSociety:
    """Read a society whose answers are class probabilities; see `load_kept`."""
    return _of(FittedSociety, load_kept(folder, trusted), folder)


def load_kept(folder: Path, trusted: Iterable[str] | None = ()) -> Kept:
    """Read a society of any kind from a folder.

    Args:
        folder: folder of the society.
        trusted: packages whose classes may be imported as kinds.

    Raises:
        RecordError: there is none, or it is damaged.
    """
    from safetensors.numpy import load_file

    path = inside(folder, folder / _VALUES)
    if not path.is_file():
        raise RecordError(
            f"{folder} holds no society",
            expected=f"a folder that 'agentos solve' wrote, with {_VALUES}",
            hint="give the folder of --out",
        )
    stored = inside(folder, folder / _ARRAYS)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("the file is too large")
        read = json.loads(path.read_bytes())
        if read["format"] != _FORMAT:
            raise ValueError(f"format {read['format']}, not {_FORMAT}")
        if _digest(stored) != read["arrays"]:
            raise ValueError(f"{_ARRAYS} is not the file that was written with it")
        society = _value(read["society"], load_file(stored), TrustedPlugins.of(trusted))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        if "--trust-plugins" in why:
            raise RecordError(
                f"{path} names a class of a package that is not trusted",
                actual=why.removeprefix("Value error, "),
                hint="name the package in --trust-plugins, if you trust it",
            ) from error
        raise damaged(path, "a society", why.partition("\n")[0]) from error
    if not isinstance(society, Kept):
        raise damaged(path, "a society", type(society).__name__)
    return society


def _of(wanted: type[Wanted], society: Kept, folder: Path) -> Wanted:
    if not isinstance(society, wanted):
        raise damaged(folder / _VALUES, f"a {wanted.__name__}", type(society).__name__)
    return society


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _plain(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a value as JSON; its arrays go to `arrays`."""
    if isinstance(value, np.ndarray):
        name = f"array-{len(arrays)}"
        arrays[name] = np.ascontiguousarray(value)
        return {"array": name}
    if isinstance(value, BaseModel):
        fields_of = written(value) if isinstance(value, Spec) else value.model_dump(mode="json")
        return {"spec": place_of(type(value)) or type(value).__name__, "fields": fields_of}
    if is_dataclass(value):
        parts = {each.name: _plain(getattr(value, each.name), arrays) for each in fields(value)}
        return {"class": type(value).__name__, "fields": parts}
    if isinstance(value, Mapping):
        return {"mapping": {key: _plain(each, arrays) for key, each in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_plain(each, arrays) for each in value]}
    if isinstance(value, (np.floating, np.integer)):
        return value.item()
    # JSON has no infinity, and a threshold can be one.
    return {"float": repr(value)} if isinstance(value, float) else value


def _value(stored: Any, arrays: Mapping[str, np.ndarray], trusted: TrustedPlugins) -> Any:
    if not isinstance(stored, dict):
        return stored
    if "array" in stored:
        return arrays[stored["array"]]
    if "float" in stored:
        return float(stored["float"])
    if "tuple" in stored:
        return tuple(_value(each, arrays, trusted) for each in stored["tuple"])
    if "mapping" in stored:
        return {key: _value(each, arrays, trusted) for key, each in stored["mapping"].items()}
    if "spec" in stored:
        kind = stored["spec"]
        if kind in _CLASSES:
            shipped: type[BaseModel] = _CLASSES[kind]
            return shipped.model_validate(stored["fields"], context=trusted)
        own = plugin_class(kind, trusted, Spec)
        if own is None or not issubclass(own, Spec):
            raise ValueError(f"there is no class {kind[:60]}")
        parameters = {name: each for name, each in stored["fields"].items() if name != "kind"}
        return own.model_validate(parameters, context=trusted)
    cls = _CLASSES[stored["class"]]
    return cls(**{name: _value(each, arrays, trusted) for name, each in stored["fields"].items()})
