"""What can be said of one agent's encoder and of its local training."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator
from typing_extensions import Self

from agents.training.optimizers import OPTIMIZERS, AdamW, OptimizerSpec, Schedule
from protocols.spec import Kinds, Spec


class Size(NamedTuple):
    """Size of a model that is built from scratch: a BERT, or a GPT-2 where it is a decoder."""

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
Precision = Literal["fp32", "bf16", "auto"]
LanguageModelKind = Literal["masked", "causal"]
"""A masked language model sees both sides of a token, a causal one the tokens before it."""
_ORIGINS = ("preset", "path", "name")


class LoRAConfig(Spec):
    """Low-rank adapters: they alone are trained, exchanged and stored.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2022.
    """

    rank: int = Field(8, ge=1, le=4096, description="Rank of each adapter.")
    alpha: int = Field(16, ge=1, description="Adapters are scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="Dropout before each adapter.")
    targets: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Names of the layers that get one; unset: those that peft takes for the model.",
    )


class EncoderConfig(Spec):
    """A language encoder: built from a preset, or loaded from a folder or by name."""

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

    lora: LoRAConfig | None = Field(
        None, description="Train low-rank adapters instead of the backbone's own parameters."
    )
    frozen_layers: int | None = Field(
        None,
        ge=0,
        description="Freeze the embeddings and so many first layers; unset freezes nothing.",
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
        if self.lora is not None and self.frozen_layers is not None:
            raise ValueError("lora freezes the whole backbone already; drop frozen_layers")
        return self

    @property
    def origin(self) -> str:
        """What the encoder is called in tables: its path, its name or its preset."""
        return self.path or self.name or self.preset or "tiny"

    @property
    def language_model(self) -> LanguageModelKind | None:
        """The language model that a preset can be; None before a model is loaded."""
        if not self.from_scratch:
            return None
        return "causal" if PRESETS[self.preset or "tiny"].decoder else "masked"

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
    accumulate: int = Field(
        1, ge=1, description="Batches whose gradients are averaged in one optimizer step."
    )
    micro_batch_tokens: int | None = Field(
        None,
        ge=8,
        description="Padded tokens that go through the encoder at once; a batch of more is computed in "
        "parts and once more for its gradient (GradCache). Unset: all at once.",
    )
    length_buckets: bool | None = Field(
        None,
        description="Send the texts of a batch through the encoder in buckets of like length, each padded "
        "to its own longest text, wherever that saves more tokens than a pass costs a CPU. The loss sees "
        "the whole batch. Unset: on a CPU. What micro_batch_tokens divides goes by length anyway.",
    )
    max_length: int = Field(
        32, ge=8, le=8192, description="Tokens of a view, special tokens included."
    )
    optimizer: Annotated[OptimizerSpec, Kinds(OPTIMIZERS)] = Field(
        AdamW(), description="How gradients change parameters."
    )
    learning_rate: float = Field(1.0e-3, gt=0.0, description="Peak learning rate.")
    schedule: Schedule = Field(
        "constant", description="How the learning rate goes on after the warm-up."
    )
    warmup_steps: int = Field(50, ge=0, description="Steps over which the learning rate rises.")
    weight_decay: float = Field(0.01, ge=0.0, description="Weight decay of matrices.")
    clip_norm: float | None = Field(
        1.0, gt=0.0, description="Largest norm of the gradient; null does not clip."
    )
    precision: Precision = Field(
        "fp32",
        description="bf16: autocast, products of bfloat16 with sums in fp32; parameters stay fp32. It is "
        "slow on processors without units for it. auto: the first host times a few steps in both and takes "
        "bf16 where it is 1.1 times as fast; the record names the choice in place of auto.",
    )
    activation_checkpointing: bool = Field(
        False, description="Compute activations again for the gradient instead of keeping them."
    )
    view_workers: int = Field(
        1, ge=0, le=64, description="Threads of a host that make views ahead; 0 for none."
    )

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.rounds * self.local_steps
