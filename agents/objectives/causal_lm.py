"""Causal language modelling: predict every token from those before it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.objectives.base import (
    LanguageModel,
    LossOutput,
    Objective,
    Prepared,
    Ratio,
    RawBatch,
    Step,
)
from agents.objectives.masking import IGNORED
from agents.text.collate import Collator, Padded
from agents.text.tokens import Text
from agents.views import VIEWS, Crop, View, compose
from protocols.spec import Kinds

_TAIL = 8


class CausalLM(Objective):
    """Causal language model (GPT, Radford et al. 2018): predict each token from those before it.

    For decoders. ``mean over t of -log p(x_t | x_<t)``, in nats. Targets are all tokens that follow another
    (the first token too where the tokenizer puts a special one before it), and at the end of a document the
    end-of-text token, if there is one: `Collator.end`. A truncated text has no such target. The pooled states
    are offered to the exchange: the text is unmasked, and they cost nothing more.

    Source: Radford et al., Improving Language Understanding by Generative Pre-Training, 2018.
    """

    language_model: ClassVar[LanguageModel | None] = "causal"

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
        whole = [
            _ends_alike(view, text, raw.collate.budget)
            for view, text in zip(views, raw.texts, strict=True)
        ]
        return {"texts": batch, "labels": next_tokens(batch, np.array(whole), raw.collate)}

    def loss(self, step: Step) -> LossOutput:
        """Return the mean over all predicted tokens of the batch."""
        from agents.models.token_scores import guess

        batch = step.inputs["texts"]
        guessed = guess(step, batch, step.inputs["labels"], pooled=True)
        metrics = {
            "next_token_accuracy": Ratio(guessed.correct, guessed.count),
            "next_token_perplexity": Ratio(guessed.nll, guessed.count, exponential=True),
        }
        return LossOutput(guessed.loss, batch.lengths, guessed.pooled, metrics)


def next_tokens(batch: Padded, whole: np.ndarray, collate: Collator) -> np.ndarray:
    """Return the token that follows each one, or `IGNORED`: `[B, T]` int64.

    Args:
        batch: B padded texts.
        whole: `[B]` bool, texts after which the end-of-text token is to be predicted.
        collate: that padded them.
    """
    seen = batch.attention_mask.astype(bool)
    labels: np.ndarray = np.full(batch.input_ids.shape, IGNORED, dtype=np.int64)
    labels[:, :-1] = np.where(seen[:, 1:] & seen[:, :-1], batch.input_ids[:, 1:], IGNORED)
    last = batch.lengths - len(collate.suffix) - 1
    labels[np.arange(labels.shape[1]) >= last[:, None]] = IGNORED
    if collate.end is not None:
        rows = np.flatnonzero(whole & (last >= 0))
        rows = rows[seen[rows, last[rows]]]
        labels[rows, last[rows]] = collate.end
    return labels


def _ends_alike(view: Text, text: Text, budget: int) -> bool:
    """Return whether a view is within the budget and ends as its document does."""
    tail = min(len(view), len(text), _TAIL)
    return len(view) <= budget and np.array_equal(view.tokens[-tail:], text.tokens[-tail:])
