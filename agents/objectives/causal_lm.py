"""Causal language modelling: guess every token from those before it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.objectives.base import (
    Draft,
    LanguageModel,
    LossOutput,
    Objective,
    Prepared,
    Ratio,
    Step,
)
from agents.objectives.masking import IGNORED
from agents.text.collate import Collator, Padded
from agents.text.tokens import Text
from agents.views import VIEWS, Crop, View, compose
from protocols.spec import Kinds

_TAIL = 8


class CausalLM(Objective):
    """Causal language model: guess every token from those before it; for decoders.

    ``mean over t of -log p(x_t | x_<t)``, in nats. Guessed are all tokens that follow one (the first token
    too where the tokenizer puts a special one before it), and at the end of a document the end-of-text
    token, if there is one: `Collator.end`. A text that was cut has no end to guess. The pooled states are
    offered to the exchange: the text is whole, and costs nothing more.

    Source: Radford et al., Improving Language Understanding by Generative Pre-Training, 2018.
    """

    language_model: ClassVar[LanguageModel | None] = "causal"

    kind: Literal["causal_lm"] = "causal_lm"
    views: tuple[Annotated[View, Kinds(VIEWS)], ...] = Field(
        (Crop(shortest=1.0, longest=1.0),),
        min_length=1,
        description="Augmentations; by default a random span as long as is read.",
    )

    def prepare(self, draft: Draft) -> Prepared:
        """Take a view of every document; the labels are the next tokens."""
        views = [compose(self.views, text, draft.setting, draft.rng) for text in draft.texts]
        batch = draft.collate(views)
        whole = [
            _ends_alike(view, text, draft.collate.budget)
            for view, text in zip(views, draft.texts, strict=True)
        ]
        return {"texts": batch, "labels": next_tokens(batch, np.array(whole), draft.collate)}

    def loss(self, step: Step) -> LossOutput:
        """Return the mean over all guessed tokens of the batch."""
        from agents.models.token_scores import guess

        batch = step.inputs["texts"]
        guessed = guess(step, batch, step.inputs["labels"], pooled=True)
        metrics = {
            "next_token_accuracy": Ratio(guessed.correct, guessed.count),
            "next_token_perplexity": Ratio(guessed.nll, guessed.count, exponential=True),
        }
        return LossOutput(guessed.loss, batch.lengths, guessed.pooled, metrics)


def next_tokens(batch: Padded, whole: np.ndarray, collate: Collator) -> np.ndarray:
    """Return for every token the one that follows, or `IGNORED`: `[B, T]` int64.

    Args:
        batch: B padded texts.
        whole: `[B]` bool, texts behind which the end-of-text token is to be guessed.
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
    """Whether a view that is not cut by the budget ends as its document does."""
    tail = min(len(view), len(text), _TAIL)
    return len(view) <= budget and np.array_equal(view.tokens[-tail:], text.tokens[-tail:])
