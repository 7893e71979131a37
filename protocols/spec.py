"""Frozen specifications, and tables that turn a ``kind`` into one.

An extension (a topology, an objective, an exchange, ...) is one class: a frozen pydantic model whose
fields are its parameters and whose methods are its behaviour. State lives elsewhere. So the same object
is the configuration, the thing that runs, and what is pickled to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Union

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    InstanceOf,
    Tag,
)
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema

CUSTOM = "custom instance"


class Spec(BaseModel):
    """Base of every configuration value: frozen, and unknown keys are refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


@dataclass(frozen=True)
class Kinds:
    """Annotation of a field that holds one of a table of kinds, or an instance of the field's type.

    Three things are accepted: a mapping with a ``kind`` key, the bare name of a kind, and an instance
    (a shipped class or a user's own subclass of the annotated base), which passes straight through.

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
    """

    table: Mapping[str, type[Spec]]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        known = [Annotated[cls, Tag(kind)] for kind, cls in self.table.items()]
        custom = Annotated[SkipJsonSchema[InstanceOf[source]], Tag(CUSTOM)]
        options = (*known, custom)
        union = Union[options]  # type: ignore[valid-type]  # noqa: UP007
        return handler.generate_schema(
            Annotated[union, Discriminator(self._tag), BeforeValidator(_as_mapping)]
        )

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # What pydantic derives knows nothing of bare names, and takes the kind for optional.
        bare = [kind for kind, cls in self.table.items() if not _required(cls) - {"kind"}]
        return {"anyOf": [{"enum": bare}, {**handler(core_schema), "required": ["kind"]}]}

    def _tag(self, value: Any) -> str | None:
        if isinstance(value, Mapping):
            kind = value.get("kind")
            return None if kind is None else str(kind)
        kind = getattr(value, "kind", None)
        return str(kind) if type(value) is self.table.get(str(kind)) else CUSTOM


def _as_mapping(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def _required(cls: type[Spec]) -> set[str]:
    return {name for name, field in cls.model_fields.items() if field.is_required()}
