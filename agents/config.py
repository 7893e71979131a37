"""What can be said of one agent's encoder and of its local training."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator
from typing_extensions import Self

from protocols.spec import Spec


class Size(NamedTuple):
    """Size of a BERT that is built from scratch."""

    layers: int
    width: int
    heads: int


PRESETS = {"nano": Size(2, 64, 2), "tiny": Size(2, 128, 2), "small": Size(4, 256, 4)}
Preset = Literal["nano", "tiny", "small"]
Pooling = Literal["mean", "cls", "last"]
Precision = Literal["fp32", "bf16"]
_ORIGINS = ("preset", "path", "name")


class EncoderConfig(Spec):
    """A language encoder: built from a preset, or loaded from a folder or by name."""

    preset: Preset | None = Field(
        None,
        description="BERT built from scratch: nano (2 layers x 64), tiny (2 x 128), small (4 x 256). "
        "Default: tiny, unless path or name is given.",
    )
    path: str | None = Field(None, description="Folder of a Hugging Face model and its tokenizer.")
    name: str | None = Field(
        None, description="Name of a model in the local Hugging Face cache or hub."
    )
    pooling: Pooling | None = Field(
        None,
        description="How token states become one vector. Default: as the folder says in "
        "1_Pooling/config.json, else mean.",
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
        return self

    @property
    def origin(self) -> str:
        """What the encoder is called in tables: its path, its name or its preset."""
        return self.path or self.name or self.preset or "tiny"

    @property
    def from_scratch(self) -> bool:
        """Whether the encoder is built from a preset, with random weights."""
        return self.path is None and self.name is None


class TrainingConfig(Spec):
    """Local training: what one agent does between two exchanges."""

    rounds: int = Field(
        8, ge=1, description="Rounds of local training, each followed by an exchange."
    )
    local_steps: int = Field(50, ge=1, description="Optimizer steps of each agent in a round.")
    batch_size: int = Field(64, ge=2, description="Documents in a step, public anchors included.")
    max_length: int = Field(
        32, ge=8, le=8192, description="Tokens of a view, special tokens included."
    )
    learning_rate: float = Field(1.0e-3, gt=0.0, description="Peak learning rate of AdamW.")
    warmup_steps: int = Field(50, ge=0, description="Steps over which the learning rate rises.")
    weight_decay: float = Field(0.01, ge=0.0, description="Decoupled weight decay of matrices.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Decay rates of AdamW's moments.")
    clip_norm: float | None = Field(
        1.0, gt=0.0, description="Largest norm of the gradient; null does not clip."
    )
    precision: Precision = Field("fp32", description="bf16 runs the forward pass under autocast.")

    @model_validator(mode="after")
    def _betas_in_range(self) -> Self:
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError("betas must lie in [0, 1)")
        return self
