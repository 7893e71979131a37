"""Configuration of one agent's encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator
from typing_extensions import Self

from protocols.errors import ModelError
from protocols.spec import Spec


class Size(NamedTuple):
    """Size of a preset: a BERT, or a GPT-2 if it is a decoder."""

    layers: int
    width: int
    heads: int
    decoder: bool = False


PRESETS = {
    "nano": Size(2, 64, 2),
    "tiny": Size(2, 128, 2),
    "small": Size(4, 256, 4),
    "nano-decoder": Size(2, 64, 2, decoder=True),
    "tiny-decoder": Size(2, 128, 2, decoder=True),
    "small-decoder": Size(4, 256, 4, decoder=True),
}
Preset = Literal["nano", "tiny", "small", "nano-decoder", "tiny-decoder", "small-decoder"]
Pooling = Literal["mean", "cls", "last"]
LanguageModelKind = Literal["masked", "causal"]
"""A masked language model sees both sides of a token, a causal one the tokens before it."""
_ORIGINS = ("preset", "path", "name")
ADAPTER_CONFIG = "adapter_config.json"


class LoRAConfig(Spec):
    """Low-rank adapters, the only parameters that are then trained, exchanged and stored.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2022.
    """

    rank: int = Field(8, ge=1, le=4096, description="Rank of each adapter.")
    alpha: int = Field(16, ge=1, description="Adapters are scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="Dropout before each adapter.")
    targets: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Names of the layers that get one; unset: peft's defaults for the model.",
    )


class EncoderConfig(Spec):
    """A language encoder, built from a preset or loaded from a folder or by name."""

    preset: Preset | None = Field(
        None,
        description="BERT built from scratch: nano (2 layers x 64), tiny (2 x 128), small (4 x 256); with "
        "-decoder behind it, a GPT-2 of that size. Default: tiny, unless path or name is given.",
    )
    path: str | None = Field(None, description="Folder of a Hugging Face model and its tokenizer.")
    name: str | None = Field(
        None, description="Name of a model in the local Hugging Face cache or hub."
    )
    pooling: Pooling | None = Field(
        None,
        description="Pooling of token states into one vector. Default: that of its "
        "sentence-transformers files, else mean.",
    )
    projection: int = Field(
        0,
        ge=0,
        le=65_536,
        description="Width of the MLP projection head; 0 trains the pooled state.",
    )
    dropout: float | None = Field(
        None, ge=0.0, lt=1.0, description="Dropout of the encoder; unset keeps the model's own."
    )
    lora: LoRAConfig | None = Field(
        None, description="Train low-rank adapters instead of the backbone's own parameters."
    )
    frozen_layers: int | None = Field(
        None,
        ge=0,
        description="Freeze the embeddings and this many first layers; unset freezes nothing.",
    )
    trust_remote_code: bool = Field(
        False,
        description="Run the Python code that comes with the model or its tokenizer, with all the rights of "
        "this user; only for authors whose every file you would run yourself.",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if not any(values.get(key) for key in _ORIGINS):
            values = {**values, "preset": "tiny"}
        if values.get("preset") and values.get("pooling") is None:
            values = {**values, "pooling": "mean"}
        return values

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = [name for name in _ORIGINS if getattr(self, name) is not None]
        if len(origins) > 1:
            raise ValueError(
                f"give one of preset, path and name, not {' and '.join(origins)} "
                f"(an override can take one back: encoder.{origins[0]}=null)"
            )
        if self.lora is not None and self.from_scratch:
            raise ValueError("lora adapts a pretrained encoder: give path or name, or drop lora")
        if self.trust_remote_code and self.from_scratch:
            raise ValueError(
                "trust_remote_code is for loaded models: give path or name, or drop it"
            )
        if self.lora is not None and self.frozen_layers is not None:
            raise ValueError("lora freezes the whole backbone already; drop frozen_layers")
        return self

    @property
    def origin(self) -> str:
        """Path, name or preset of the encoder, as tables show it."""
        return self.path or self.name or self.preset or "tiny"

    @property
    def language_model(self) -> LanguageModelKind | None:
        """Kind of language model that a preset can be; None for a model that has to be loaded first."""
        if not self.from_scratch:
            return None
        return "causal" if PRESETS[self.preset or "tiny"].decoder else "masked"

    @property
    def from_scratch(self) -> bool:
        """Return whether the encoder is built from a preset, with random weights."""
        return self.path is None and self.name is None


def base_model_of(config: EncoderConfig) -> str | None:
    """Return the folder or name of the backbone that an encoder's saved adapters belong to.

    Returns:
        None if the encoder's folder holds no adapters.

    Raises:
        ModelError: the adapters' settings do not name the backbone.
    """
    if config.path is None or not (Path(config.path) / ADAPTER_CONFIG).is_file():
        return None
    path = Path(config.path) / ADAPTER_CONFIG
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{path} does not name the model that the adapters belong to",
            expected="base_model_name_or_path",
            actual=str(error),
            hint="save the adapters again",
        ) from error
    return str(origin)


def full_model_of(config: EncoderConfig) -> str:
    """Return the folder or name of the whole model: the origin, or the base model of its adapters."""
    return base_model_of(config) or config.origin
