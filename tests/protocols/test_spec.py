from __future__ import annotations

import json
import pickle
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from protocols.spec import Kinds, Spec


class Shape(Spec):
    kind: str


class Square(Shape):
    """A square."""

    kind: Literal["square"] = "square"
    side: float = Field(1.0, gt=0)


class Circle(Shape):
    """A circle."""

    kind: Literal["circle"] = "circle"
    radius: float = Field(1.0, gt=0)


class Triangle(Shape):
    """A user's own shape, in no table."""

    kind: Literal["triangle"] = "triangle"
    base: float = 1.0


class Impostor(Shape):
    """A user's own shape under a shipped name."""

    kind: Literal["square"] = "square"


SHAPES: dict[str, type[Spec]] = {"square": Square, "circle": Circle}
AnyShape = Annotated[Shape, Kinds(SHAPES)]


class Drawing(Spec):
    shape: AnyShape
    more: list[AnyShape] = []
    title: str = ""


def draw(shape: Any, **fields: Any) -> Drawing:
    return Drawing.model_validate({"shape": shape, **fields})


def test_mapping_becomes_the_class_of_its_kind() -> None:
    assert draw({"kind": "square", "side": 2.0}).shape == Square(side=2.0)
    assert draw({"kind": "circle"}).shape == Circle(radius=1.0)


def test_bare_name_becomes_the_kind_with_its_defaults() -> None:
    assert draw("circle").shape == Circle()


@pytest.mark.parametrize("shape", [Square(side=3), Circle(radius=2), Triangle(base=4), Impostor()])
def test_instance_passes_straight_through(shape: Shape) -> None:
    assert draw(shape).shape is shape
    assert Drawing(shape=shape).shape is shape


def test_kinds_nest_in_lists() -> None:
    drawing = draw("square", more=["circle", {"kind": "square", "side": 2}, Triangle()])
    assert drawing.more == [Circle(), Square(side=2), Triangle()]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"square": {"side": 2.0}}, Square(side=2.0)),
        ({"circle": {}}, Circle()),
        ({"circle": None}, Circle()),
        ({"square": {"kind": "square", "side": 2.0}}, Square(side=2.0)),
    ],
)
def test_name_alone_may_hold_the_parameters(shape: Any, expected: Shape) -> None:
    assert draw(shape, more=[shape, "circle"]) == Drawing(shape=expected, more=[expected, Circle()])


def test_error_inside_a_short_form_gives_its_path() -> None:
    with pytest.raises(ValidationError) as caught:
        draw({"square": {"side": -1}})
    assert [error["loc"] for error in caught.value.errors()] == [("shape", "square", "side")]


@pytest.mark.parametrize(
    "shape",
    ["hexagon", {"kind": "hexagon"}, {"hexagon": {"side": 1.0}}, {"hexagon": None}],
    ids=["name", "mapping", "short", "empty"],
)
def test_unknown_kind_is_refused_and_the_known_are_named(shape: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        draw(shape)
    (error,) = caught.value.errors()
    assert error["loc"] == ("shape",)
    assert "hexagon" in error["msg"]
    assert "square" in error["msg"]
    assert "circle" in error["msg"]


NOT_SHAPES = [
    *({}, {"side": 1.0}, None, 3, object(), Drawing(shape=Square())),
    *({"square": 2.0}, {"square": [1]}, {"square": {"kind": "circle"}}, {3: {}}),
    {"square": {}, "circle": {}},
]


@pytest.mark.parametrize("shape", NOT_SHAPES)
def test_what_has_no_kind_and_is_no_instance_is_refused(shape: Any) -> None:
    with pytest.raises(ValidationError):
        draw(shape)


def test_error_inside_a_kind_gives_its_path() -> None:
    with pytest.raises(ValidationError) as caught:
        draw({"kind": "square", "side": -1, "colour": "red"})
    paths = {error["loc"]: error["type"] for error in caught.value.errors()}
    assert paths == {
        ("shape", "square", "side"): "greater_than",
        ("shape", "square", "colour"): "extra_forbidden",
    }


def test_json_schema_lists_every_kind_and_nothing_custom() -> None:
    schema = Drawing.model_json_schema()
    text = json.dumps(schema)
    assert {"Square", "Circle"} <= schema["$defs"].keys()
    assert "Triangle" not in text
    assert "custom" not in text
    options = json.dumps(schema["properties"]["shape"])
    assert "Square" in options
    assert "Circle" in options


@pytest.mark.parametrize(
    ("shape", "right"),
    [
        ("square", True),
        ("oval", False),
        ("package.module:Oval", True),  # which may be trusted
        ({"kind": "square", "side": 2.0}, True),
        ({"side": 2.0}, False),
        ({"square": {"side": 2.0}}, True),
        ({"square": None}, True),
        ({"square": {"radius": 2.0}}, False),
        ({"oval": {}}, False),
        ({"square": {}, "circle": {}}, False),
        ({}, False),
        ({"kind": "package.module:Oval", "side": 2.0}, True),
    ],
)
def test_json_schema_takes_what_the_field_takes(shape: Any, right: bool) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    valid = jsonschema.Draft202012Validator(Drawing.model_json_schema()).is_valid({"shape": shape})
    assert valid == right
    if right and "package" not in str(shape):
        draw(shape)
    elif not right:
        with pytest.raises(ValidationError):
            draw(shape)


def test_spec_is_frozen_and_refuses_unknown_keys_and_infinities() -> None:
    square = Square()
    with pytest.raises(ValidationError, match="frozen"):
        square.side = 2.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Square(sides=2.0)  # type: ignore[call-arg]
    for number in (float("inf"), float("nan")):
        with pytest.raises(ValidationError):
            Square(side=number)


def test_spec_survives_pickling_and_dumping() -> None:
    drawing = draw({"kind": "square", "side": 2.0}, more=["circle"])
    assert pickle.loads(pickle.dumps(drawing)) == drawing
    assert Drawing.model_validate(drawing.model_dump()) == drawing
    assert Drawing.model_validate_json(drawing.model_dump_json()) == drawing


def test_equal_specs_have_equal_hashes() -> None:
    assert hash(Square(side=2)) == hash(Square(side=2.0))


class Auto(Spec):
    kind: Literal["auto"] = "auto"


class Either(Spec):
    value: Annotated[Auto | Shape, Kinds({"auto": Auto, **SHAPES})]


def test_instances_pass_through_where_the_field_holds_one_of_two_bases() -> None:
    assert type(Either(value=Triangle()).value) is Triangle
    assert type(Either.model_validate({"value": "auto"}).value) is Auto
    with pytest.raises(ValidationError):
        Either.model_validate({"value": Drawing(shape=Square())})
