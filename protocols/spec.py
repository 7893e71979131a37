"""Frozen specifications, and tables that turn a ``kind`` into a specification.

An extension (a topology, an objective, an exchange, ...) is one class: a frozen pydantic model whose
fields are its parameters and whose methods are its behaviour. State lives elsewhere, so that one object
serves as the configuration, runs, and is pickled to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Union, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    InstanceOf,
    Tag,
    ValidationInfo,
)
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema

from protocols.plugins import REFERENCE, TrustedPlugins, place_of, plugin_class

CUSTOM = "custom instance"


class Spec(BaseModel):
    """Base of every configuration value: frozen, and unknown keys are refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, defer_build=True
    )


@dataclass(frozen=True, eq=False)  # hashable, as `Annotated[..., Kinds(...)] | None` asks
class Kinds:
    """Annotation of a field that holds one of a table of kinds, or an instance of the field's type.

    Four things are accepted: a mapping with a ``kind`` key, the bare name of a kind, a mapping of that name
    alone to the parameters, and an instance (a shipped class or a user's own subclass of the annotated
    base), which passes straight through.

    A kind may also name a class from outside the table (see `protocols.plugins`), if the context of the
    validation trusts its package. It is written as the place of the class, from which it can be read again.

    Example:
        >>> from typing import Literal
        >>> class Shape(Spec):
        ...     kind: str
        >>> class Square(Shape):
        ...     kind: Literal["square"] = "square"
        ...     side: float = 1.0
        >>> class Drawing(Spec):
        ...     shape: Annotated[Shape, Kinds({"square": Square})]
        >>> Drawing(shape={"kind": "square", "side": 2.0}).shape.side
        2.0
        >>> Drawing(shape={"square": {"side": 2.0}}).shape.side
        2.0
    """

    table: Mapping[str, type[Spec]]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        known = [Annotated[cls, Tag(kind)] for kind, cls in self.table.items()]
        bases = get_args(source) or (source,)
        instances = tuple(Annotated[base, InstanceOf()] for base in bases)  # type: ignore[type-arg]
        custom = Annotated[SkipJsonSchema[Union[instances]], Tag(CUSTOM)]  # type: ignore[valid-type]  # noqa: UP007
        options = (*known, custom)
        union = Union[options]  # type: ignore[valid-type]  # noqa: UP007

        def resolved(value: Any, info: ValidationInfo) -> Any:
            return self._resolved(spell_out(value), source, info.context)

        return handler.generate_schema(
            Annotated[union, Discriminator(self._tag), BeforeValidator(resolved)]
        )

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # The schema that pydantic derives lacks bare names, and has the kind optional.
        bare = [kind for kind, cls in self.table.items() if not _required(cls) - {"kind"}]
        full = handler(core_schema)
        named = {
            kind: {"anyOf": [parameters, {"type": "null"}]} if kind in bare else parameters
            for kind, parameters in zip(self.table, full.get("oneOf", [full]), strict=True)
        }
        short = {"type": "object", "properties": named, "additionalProperties": False}
        outside = {"type": "string", "pattern": f"^{REFERENCE}$"}
        return {
            "anyOf": [
                {"enum": bare},
                {**full, "required": ["kind"]},
                {**short, "minProperties": 1, "maxProperties": 1},
                outside,
                {"type": "object", "properties": {"kind": outside}, "required": ["kind"]},
            ]
        }

    def _resolved(self, value: Any, base: Any, context: Any) -> Any:
        """Return an instance of a class from outside the table, or any other value unchanged."""
        kind = value.get("kind") if isinstance(value, Mapping) else None
        # Messages are validated without a context: their kinds are of the table, and nothing is looked up.
        if (
            not isinstance(kind, str)
            or kind in self.table
            or not isinstance(context, TrustedPlugins)
        ):
            return value
        cls = plugin_class(kind, context, base)
        if cls is None:
            return value
        assert issubclass(cls, Spec)  # so is every base of a table
        parameters = {name: each for name, each in value.items() if name != "kind"}
        return cls.model_validate(parameters, context=context)

    def _tag(self, value: Any) -> str | None:
        if isinstance(value, Mapping):
            kind = value.get("kind")
            return None if kind is None else str(kind)
        kind = getattr(value, "kind", None)
        return str(kind) if type(value) is self.table.get(str(kind)) else CUSTOM


def spell_out(value: Any) -> Any:
    """Return a short form of a kind as a mapping with the key ``kind``, anything else unchanged.

    Example:
        >>> spell_out("square"), spell_out({"square": {"side": 2.0}})
        ({'kind': 'square'}, {'kind': 'square', 'side': 2.0})
    """
    if isinstance(value, str):
        return {"kind": value}
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, parameters),) = value.items()
        parameters = {} if parameters is None else parameters
        # Parameters of another kind are a mistake: validation reports it.
        is_short = isinstance(kind, str) and isinstance(parameters, Mapping) and kind != "kind"
        if is_short and parameters.get("kind", kind) == kind:
            return {"kind": kind, **parameters}
    return value


def written(spec: Spec) -> dict[str, Any]:
    """Return a specification as plain values; the kind of a user's own class is its place, if it has one.

    Raises:
        PydanticSerializationError: a field holds something that JSON cannot.
    """
    values = spec.model_dump(mode="json", serialize_as_any=True)
    _write_places(spec, values)
    return values


def _write_places(value: Any, plain: Any) -> None:
    if isinstance(value, Spec) and isinstance(plain, dict):
        place = place_of(type(value))
        if "kind" in plain and place is not None:
            plain["kind"] = place
        for name, part in value:
            _write_places(part, plain.get(name))
    elif isinstance(value, Mapping) and isinstance(plain, dict):
        for part, plain_part in zip(value.values(), plain.values(), strict=True):
            _write_places(part, plain_part)
    elif isinstance(value, (tuple, list)) and isinstance(plain, list):
        for part, plain_part in zip(value, plain, strict=True):
            _write_places(part, plain_part)


def _required(cls: type[Spec]) -> set[str]:
    return {name for name, field in cls.model_fields.items() if field.is_required()}
