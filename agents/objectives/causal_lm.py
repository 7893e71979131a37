"""Causal language modelling: predict every token from those before it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.config import LanguageModelKind
from agents.objectives.base import (
    LossOutput,
    Objective,
    Prepared,
    RawBatch,
    Step,
)
from agents.objectives.token_prediction import predict_tokens
from agents.text.masking import next_token_labels
from agents.text.tokens import Text
from agents.views import VIEWS, Crop, View, compose
from protocols.spec import Kinds

_TAIL = 8


class CausalLM(Objective):
    """Causal language model (GPT, Radford et al. 2018): predict each token from those before it.

    For decoders. ``mean over t of -log p(x_t | x_<t)``, in nats. Targets are all tokens that follow another
    (the first token too where the tokenizer puts a special one before it), and at the end of a document the
    end-of-text token, if there is one: `Collator.end_token`. A truncated text has no such target. The pooled
    states are offered to the exchange: the text is unmasked, and they cost nothing more.

    Source: Radford et al., Improving Language Understanding by Generative Pre-Training, 2018.
    """

    language_model: ClassVar[LanguageModelKind | None] = "causal"
    encodes: ClassVar[str | None] = "texts"

    kind: Literal["causal_lm"] = "causal_lm"
    views: tuple[Annotated[View, Kinds(VIEWS)], ...] = Field(
        (Crop(shortest=1.0, longest=1.0),),
        min_length=1,
        description="Augmentations; by default a random span of the largest length.",
    )

    def prepare(self, raw: RawBatch) -> Prepared:
        """Take a view of every document; the labels are the next tokens."""
        views = [compose(self.views, text, raw.setting, raw.rng) for text in raw.texts]
        batch = raw.collate(views)
        complete = [
            _ends_alike(view, text, raw.collate.budget)
            for view, text in zip(views, raw.texts, strict=True)
        ]
        labels = next_token_labels(batch, np.array(complete), raw.collate)
        return {"texts": batch, "labels": labels}

    def loss(self, step: Step) -> LossOutput:
        """Return the mean over all predicted tokens of the batch."""
        batch = step.inputs["texts"]
        predictions = predict_tokens(step, batch, step.inputs["labels"], with_pooled=True)
        metrics = {
            "next_token_accuracy": predictions.accuracy(),
            "next_token_perplexity": predictions.perplexity(),
        }
        return LossOutput(predictions.loss, batch.lengths, predictions.pooled, metrics)


def _ends_alike(view: Text, text: Text, budget: int) -> bool:
    """Return whether a view that is not cut by the budget ends as its document does."""
    tail = min(len(view), len(text), _TAIL)
    return len(view) <= budget and np.array_equal(view.tokens[-tail:], text.tokens[-tail:])
