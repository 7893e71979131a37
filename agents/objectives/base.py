"""Self-supervised objectives: from a batch of documents to a loss.

An objective works in two halves. `prepare` makes views, masks and pads on the CPU, in a background thread,
some steps ahead; it depends only on the documents and the step's generator. `loss` runs the encoder on the
prepared batch. Its state of an agent is a small dataclass, `Objective.state_type`, that belongs to the agent
and is checkpointed with it.

Legend: B documents in a batch, T tokens, W width of the backbone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field
from typing_extensions import Self

from agents.component_state import ComponentState
from agents.config import LanguageModelKind
from agents.lazy_torch import Tensor, nn
from agents.models.microbatch import rowwise
from agents.text.batch import Batch
from agents.text.collate import Collator, Padded
from agents.text.tokens import Text
from agents.views import Setting, View, compose, views_of
from protocols.spec import Spec

if TYPE_CHECKING:
    from agents.models.encoder import Encoder

Prepared = Mapping[str, "Padded | np.ndarray"]
Inputs = Mapping[str, Any]


@dataclass
class ObjectiveState(ComponentState):
    """State that an objective keeps for one agent; `Objective.state_type` names the class."""

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return the state of a step as an instance of this class.

        Raises:
            TypeError: it is of another class.
        """
        return cls.narrow(step.state)


@dataclass(frozen=True)
class LabelledTexts:
    """Documents whose class the agent knows.

    Attributes:
        texts: n documents.
        classes: `[n]` int64, the class of each.
    """

    texts: Sequence[Text] = ()
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class RawBatch:
    """A batch of documents before an objective prepares its inputs.

    Attributes:
        texts: B documents; the last of them may be public anchors.
        collate: adds special tokens and pads.
        setting: setting of the views.
        rng: random generator of the agent and the step.
        labelled: the agent's own labelled documents; none in most runs.
    """

    texts: Sequence[Text]
    collate: Collator
    setting: Setting
    rng: np.random.Generator
    labelled: LabelledTexts = LabelledTexts()

    def views(self, views: Sequence[View], count: int = 1) -> Padded:
        """Return `count` variants of every document, padded: `[count * B, T]`, all first variants first."""
        return self.collate(
            [
                compose(views, text, self.setting, self.rng)
                for _ in range(count)
                for text in self.texts
            ]
        )


@dataclass(frozen=True)
class Step:
    """Inputs of an objective in one training step.

    Attributes:
        encoder: the shared encoder, pointed at the agent that trains.
        inputs: result of `Objective.prepare`, on the device: a `Batch` for every padded batch, a tensor for
            every array.
        rng: random generator of the agent and the step, independent of that of the raw batch.
        index: optimizer steps that the agent has taken before.
        steps: optimizer steps of the whole run.
        state: the state that the objective keeps for this agent; read it with `ObjectiveState.of`.
        micro_batch_tokens: padded tokens that go through the encoder at once; None for all.
        pass_tokens: fixed cost of a pass through the encoder, in tokens, to divide a batch by length; None
            for one pass.
        anchors: documents of the batch, at its end, that are public anchors: their ids `[A]`.
        pooled: views of the documents, pooled by an objective before this one; empty if there are none.
        neighbours: the neighbours' embeddings of anchors, for objectives that take them; None if there is
        none.
        reference: received parameters, for objectives that take them; None before the first exchange.
        snapshot: returns a copy of the trained parameters `[P]`, all in one tensor.
        under: runs a function while the encoder has other parameters `[P]`, without gradients.
        batch: pads texts that an objective has stored, and moves them to the encoder's device.
    """

    encoder: Encoder
    inputs: Inputs
    rng: np.random.Generator
    index: int = 0
    steps: int = 1
    state: ObjectiveState = field(default_factory=ObjectiveState)
    micro_batch_tokens: int | None = None
    pass_tokens: int | None = None
    anchors: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    pooled: tuple[Tensor, ...] = ()
    neighbours: Neighbours | None = None
    reference: Reference | None = None
    snapshot: Callable[[], Tensor] | None = None
    under: Callable[[Tensor, Callable[[], Tensor]], Tensor] | None = None
    batch: Callable[[Sequence[Text | np.ndarray]], Batch] | None = None

    def encode(self, batch: Batch) -> Tensor:
        """Pool a batch: `[B, W]`, attached to the graph; in parts if so configured."""
        return self.rowwise(self.encoder.pool_batch, batch)

    def rowwise(self, function: Callable[..., Tensor], batch: Batch, *arrays: Tensor) -> Tensor:
        """Apply a function of some texts to all texts of a batch, in parts if so configured.

        See `agents.models.microbatch.rowwise`.
        """
        return rowwise(function, batch, arrays, self.micro_batch_tokens, self.pass_tokens)


class Neighbours(NamedTuple):
    """Embeddings of public anchors by neighbours, for extra negatives.

    Attributes:
        embeddings: `[N, D]`, normalised, constants, in the space of the exchange head.
        anchors: `[N]` int64, which anchor each row is of.
    """

    embeddings: Tensor
    anchors: Tensor


class Reference(NamedTuple):
    """Parameters around an agent's last exchange; evaluate them with `Step.under`.

    Attributes:
        received: `[P]`, result of its last exchange.
        previous: `[P]`, its own just before.
    """

    received: Tensor
    previous: Tensor


@dataclass(frozen=True)
class Ratio:
    """A metric over many steps: the sum of totals divided by the sum of counts.

    Attributes:
        total: scalar, on any device, detached.
        count: scalar, or a plain number.
        exponential: whether to report its exponential, as for a perplexity.
    """

    total: Tensor
    count: Tensor | float = 1.0
    exponential: bool = False


@dataclass(frozen=True)
class LossOutput:
    """Result of an objective in one step.

    Attributes:
        loss: scalar, before the objective's weight.
        token_counts: `[B]`, tokens that went through the encoder for each document.
        pooled: one `[B, W]` tensor per view of the documents, in their order, attached to the graph; an
            exchange learns from the anchors among them at no extra cost. Empty if there is none.
        metrics: further metrics, under names that no evaluation uses: those are of held-out text.
        decoder_tokens: tokens that went through a separate decoder or generator.
        embedded_tokens: tokens that went through the encoder, or a copy of it, without a gradient.
    """

    loss: Tensor
    token_counts: np.ndarray
    pooled: tuple[Tensor, ...] = ()
    metrics: Mapping[str, Ratio] = field(default_factory=dict)
    decoder_tokens: int = 0
    embedded_tokens: int = 0


class Objective(Spec, ABC):
    """A self-supervised loss over a batch of documents."""

    kind: str
    weight: float = Field(1.0, gt=0.0, description="Factor of this objective in the total loss.")
    language_model: ClassVar[LanguageModelKind | None] = None
    """The language-model head that the encoder needs: `Encoder.language_head`."""
    state_type: ClassVar[type[ObjectiveState]] = ObjectiveState
    """Class of the state that the objective keeps for each agent."""
    encodes: ClassVar[str | None] = None
    """Name of the padded input that `loss` encodes once, as a whole, if it encodes nothing else."""
    views_per_document: ClassVar[int] = 1
    """Variants of a document that a step trains on, for estimates of its tokens."""

    @abstractmethod
    def prepare(self, raw: RawBatch) -> Prepared:
        """Make the inputs of `loss` on the CPU: padded batches and arrays, by name."""

    @abstractmethod
    def loss(self, step: Step) -> LossOutput:
        """Compute the loss of a step; permuting its documents must not change what it measures."""

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build the heads that the objective trains with the backbone; see `Encoder.heads`."""
        return {}

    @property
    def single_pass(self) -> str | None:
        """Return `encodes`, or None if a model has to fill in parts of the input first.

        Such a pass can be taken for several objectives at once, and for several agents: see
        `agents.training.local_loss` and `agents.training.stacked`.
        """
        infills = any(view.needs_infilling for view in views_of(self))
        return None if infills else self.encodes

    @property
    def relies_on_dropout(self) -> bool:
        """Return whether the objective learns nothing from an encoder without dropout."""
        return False

    @property
    def wants_neighbours(self) -> bool:
        """Return whether the objective takes `Step.neighbours`; an exchange must offer them."""
        return False

    @property
    def wants_reference(self) -> bool:
        """Return whether the objective takes `Step.reference`; an exchange must offer it."""
        return False
