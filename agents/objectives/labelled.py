"""Classification of the agent's own labelled documents.

Legend: L labelled documents of a step, K classes, W width of the backbone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agents import lazy_models
from agents.lazy_torch import F, nn
from agents.objectives.base import LossOutput, Objective, Prepared, Ratio, RawBatch, Step
from agents.views import VIEWS, Crop, View, compose
from protocols.spec import Kinds

if TYPE_CHECKING:
    from agents.models.encoder import Encoder

LABEL_HEAD = "labels"
"""Name of the head that classifies texts; a `LabelHead`."""


class Labelled(Objective):
    """Supervised classification (few labels): learn the labels that the agent alone has.

    ``CE(head(pooled), label)`` over documents of `data.private_labels`, drawn in addition to the batch.
    The head is linear in centred, normalised pooled states. The evaluation ``own_labels`` asks it, and an
    exchange with ``labels: own`` teaches it the neighbours' labels too.

    Source: Lee, Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural
    Networks, 2013, whose supervised part it is.
    """

    kind: Literal["labelled"] = "labelled"
    encodes: ClassVar[str | None] = "labelled"
    classes: int = Field(..., ge=2, description="Labels of the data.")
    share: float = Field(
        0.25, gt=0.0, le=4.0, description="Labelled documents in a step, relative to the batch."
    )
    imprint: bool = Field(
        False,
        description="Start the classifier of each class as the mean direction of the first texts with its "
        "label, in place of random weights; for pretrained encoders, which few steps suit.",
    )
    views: tuple[Annotated[View, Kinds(VIEWS)], ...] = Field(
        (Crop(),), description="Augmentations of a labelled document, in order."
    )

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build the classifier: pooled states to the scores of K classes."""
        return {LABEL_HEAD: lazy_models.LabelHead(encoder.width, self.classes)}

    def prepare(self, raw: RawBatch) -> Prepared:
        """Draw L labelled documents: every one as often as any other, give or take one."""
        owned = len(raw.labelled.texts)
        count = max(1, round(self.share * len(raw.texts)))
        epochs = [raw.rng.permutation(owned) for _ in range(-(-count // owned))]
        chosen = np.concatenate(epochs)[:count]
        texts = [compose(self.views, raw.labelled.texts[i], raw.setting, raw.rng) for i in chosen]
        return {"labelled": raw.collate(texts), "labels": raw.labelled.classes[chosen]}

    def loss(self, step: Step) -> LossOutput:
        """Classify the labelled documents."""
        head, labels_L = step.encoder.heads[LABEL_HEAD], step.inputs["labels"]
        assert isinstance(head, lazy_models.LabelHead)
        pooled_LW = step.encode(step.inputs["labelled"])
        # The mean of many unlabelled texts, where there are some, is a better centre than that of a few.
        head.track(step.pooled[0] if step.pooled else pooled_LW)
        if self.imprint:
            head.imprint(pooled_LW, labels_L)
        scores_LK = head(pooled_LW)
        correct = (scores_LK.argmax(dim=-1) == labels_L).sum()
        return LossOutput(
            F.cross_entropy(scores_LK, labels_L),
            # The last of these are taken to be of the batch's anchors, which are not read here.
            np.append(step.inputs["labelled"].lengths, np.zeros_like(step.anchors)),
            metrics={"labelled_accuracy": Ratio(correct, len(labels_L))},
        )
