"""Configuration of an agent's local training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agents.training.optimizers import OPTIMIZERS, AdamW, OptimizerSpec, Schedule
from protocols.spec import Kinds, Spec

Precision = Literal["fp32", "bf16", "auto"]


class TrainingConfig(Spec):
    """Local training of an agent between two exchanges."""

    rounds: int = Field(
        8, ge=1, le=100_000, description="Rounds of local training, each followed by an exchange."
    )
    local_steps: int = Field(
        50, ge=1, le=1_000_000_000, description="Optimizer steps of each agent in a round."
    )
    batch_size: int = Field(64, ge=2, description="Documents in a step, public anchors included.")
    accumulate: int = Field(
        1, ge=1, description="Batches whose gradients are averaged in one optimizer step."
    )
    micro_batch_tokens: int | None = Field(
        None,
        ge=8,
        description="Padded tokens that go through the encoder at once; a larger batch is computed in "
        "parts, and again for its gradient (GradCache). Unset: all at once.",
    )
    length_buckets: bool | None = Field(
        None,
        description="Encode a batch in buckets of similar length, each padded to its own longest text, "
        "where that saves more tokens than another pass costs a CPU. The loss sees the whole batch. Unset: "
        "on a CPU only. Batches divided by micro_batch_tokens are sorted by length anyway.",
    )
    max_length: int = Field(
        32, ge=8, le=8192, description="Tokens of a view, special tokens included."
    )
    optimizer: Annotated[OptimizerSpec, Kinds(OPTIMIZERS)] = Field(
        AdamW(), description="Optimizer of the trained parameters."
    )
    learning_rate: float = Field(1.0e-3, gt=0.0, description="Peak learning rate.")
    schedule: Schedule = Field(
        "constant", description="Course of the learning rate after the warm-up."
    )
    warmup_steps: int = Field(50, ge=0, description="Steps over which the learning rate rises.")
    weight_decay: float = Field(0.01, ge=0.0, description="Weight decay of matrices.")
    clip_norm: float | None = Field(
        1.0, gt=0.0, description="Largest norm of the gradient; null does not clip."
    )
    precision: Precision = Field(
        "auto",
        description="bf16: autocast, products of bfloat16 with sums in fp32; parameters stay fp32. It is "
        "slow on processors without units for it. auto: bf16 where the first host has such units and a "
        "step is large enough to gain from them, else fp32; the record names the choice in place of auto.",
    )
    activation_checkpointing: bool = Field(
        False, description="Recompute activations for the gradient instead of keeping them."
    )
    view_workers: int = Field(
        1, ge=0, le=64, description="Threads of a host that prepare batches ahead; 0 for none."
    )

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.rounds * self.local_steps
