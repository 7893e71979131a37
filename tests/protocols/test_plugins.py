"""Kinds from outside: found by place or entry point, imported only where trusted, refused in plain words."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import ValidationError

from protocols.plugins import TrustedPlugins
from protocols.spec import Kinds, Spec, written

TRUSTED = TrustedPlugins.of(["wheels_of_mine"])
MODULE = """
from abc import ABC, abstractmethod
from typing import Literal
from tests_shapes import Shape

class Wheel(Shape):
    kind: Literal["wheel"] = "wheel"
    spokes: int = 3
    inner: Shape | None = None

class NoShape:
    pass

class Sketch(Shape, ABC):
    @abstractmethod
    def area(self): ...
"""


class Shape(Spec):
    kind: str


class Square(Shape):
    kind: Literal["square"] = "square"


class Drawing(Spec):
    shape: Annotated[Shape, Kinds({"square": Square})]
    more: tuple[Annotated[Shape, Kinds({"square": Square})], ...] = ()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of a user, which notes that it was imported."""
    monkeypatch.setitem(sys.modules, "tests_shapes", sys.modules[__name__])
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "wheels_of_mine.py"
    path.write_text(MODULE)
    yield path
    sys.modules.pop("wheels_of_mine", None)


def drawing(shape: object, trusted: TrustedPlugins | None = TRUSTED) -> Drawing:
    return Drawing.model_validate({"shape": shape}, context=trusted)


@pytest.mark.parametrize(
    "shape",
    [
        "wheels_of_mine:Wheel",
        {"kind": "wheels_of_mine:Wheel", "spokes": 3},
        {"wheels_of_mine:Wheel": {"spokes": 3}},
    ],
)
def test_kind_names_the_place_of_a_class(module: Path, shape: object) -> None:
    found = drawing(shape).shape
    assert type(found).__module__ == "wheels_of_mine"
    assert (found.kind, found.spokes) == ("wheel", 3)  # type: ignore[attr-defined]


def test_what_is_written_is_read_again(module: Path) -> None:
    raw = {"shape": "wheels_of_mine:Wheel", "more": ["wheels_of_mine:Wheel"]}
    before = Drawing.model_validate(raw, context=TRUSTED)
    values = written(before)
    assert values["shape"]["kind"] == values["more"][0]["kind"] == "wheels_of_mine:Wheel"
    assert Drawing.model_validate(json.loads(json.dumps(values)), context=TRUSTED) == before


@pytest.mark.parametrize("trusted", [None, TrustedPlugins(), TrustedPlugins.of(["wheels"])])
def test_nothing_is_imported_that_is_not_trusted(
    module: Path, trusted: TrustedPlugins | None
) -> None:
    with pytest.raises(ValidationError):
        drawing("wheels_of_mine:Wheel", trusted)
    assert "wheels_of_mine" not in sys.modules


def test_refusal_says_what_to_add(module: Path) -> None:
    with pytest.raises(ValidationError, match="--trust-plugins wheels_of_mine if you do"):
        drawing("wheels_of_mine:Wheel", TrustedPlugins())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("wheels_of_mine:Wheels", "the module wheels_of_mine has no class Wheels"),
        ("wheels_of_mine:Literal", "has no class Literal"),
        ("wheels_of_mine:NoShape", "the class NoShape is no Shape"),
        ("wheels_of_mine:Sketch", "the class Sketch lacks area"),
        ("wheels_of_mine.rims:Wheel", "importing wheels_of_mine.rims failed: ModuleNotFoundError"),
    ],
)
def test_refusal_says_what_is_wrong(module: Path, kind: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        drawing(kind)


def test_an_error_in_the_module_is_told(module: Path) -> None:
    module.write_text("1 / 0")
    with pytest.raises(ValidationError, match="wheels_of_mine failed: ZeroDivisionError"):
        drawing("wheels_of_mine:Wheel")


def test_wrong_parameters_are_named_by_their_place(module: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        drawing({"kind": "wheels_of_mine:Wheel", "spokes": "many"})
    assert [error["loc"] for error in caught.value.errors()] == [("shape", "spokes")]


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The entry points of the group, as installed packages announce them."""
    found = [EntryPoint("wheel", "wheels_of_mine:Wheel", "agentos.plugins")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: tuple(found))
    return found


def test_kind_names_an_entry_point(module: Path, entries: list[EntryPoint]) -> None:
    assert type(drawing("wheel").shape).__name__ == "Wheel"
    assert written(drawing("wheel"))["shape"]["kind"] == "wheels_of_mine:Wheel"


def test_an_entry_point_must_be_trusted(module: Path, entries: list[EntryPoint]) -> None:
    with pytest.raises(ValidationError, match="--trust-plugins wheels_of_mine"):
        drawing("wheel", TrustedPlugins())
    assert "wheels_of_mine" not in sys.modules


def test_an_entry_point_of_two_packages_is_refused(module: Path, entries: list[EntryPoint]) -> None:
    entries.append(EntryPoint("wheel", "others:Wheel", "agentos.plugins"))
    with pytest.raises(
        ValidationError, match="several packages; name one: others:Wheel, wheels_of"
    ):
        drawing("wheel")


def test_shipped_kinds_cannot_be_replaced(module: Path, entries: list[EntryPoint]) -> None:
    entries.append(EntryPoint("square", "wheels_of_mine:Wheel", "agentos.plugins"))
    assert type(drawing("square").shape) is Square


def test_messages_look_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: pytest.fail("looked up"))
    with pytest.raises(ValidationError, match="does not match any of the expected tags"):
        drawing("wheel", None)
