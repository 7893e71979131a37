"""Masked language modelling: predict masked tokens from both sides."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

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
from agents.text.masking import choose_tokens, corrupt, masked_labels
from agents.views import VIEWS, Crop, View, compose
from protocols.spec import Kinds


class MaskedLM(Objective):
    """Masked language model (BERT, Devlin et al. 2019): predict 15 % of the tokens from the others.

    ``mean over masked t of -log p(x_t | masked text)``, in nats. Of the chosen tokens 80 % are masked, 10 %
    replaced by random tokens and 10 % left; the choice is new in every epoch. No pooled states are offered:
    agents exchange embeddings of text without masks, and learn from those.

    Source: Devlin et al., BERT, 2019; dynamic masking as in Liu et al., RoBERTa, 2019; whole words as in
    Cui et al., Pre-Training with Whole Word Masking for Chinese BERT, 2021.
    """

    language_model: ClassVar[LanguageModelKind | None] = "masked"
    encodes: ClassVar[str | None] = "masked"

    kind: Literal["masked_lm"] = "masked_lm"
    views: tuple[Annotated[View, Kinds(VIEWS)], ...] = Field(
        (Crop(shortest=1.0, longest=1.0),),
        min_length=1,
        description="Augmentations before masking; by default a random span of the largest length.",
    )
    rate: float = Field(
        0.15, gt=0.0, lt=1.0, description="Probability that a token is predicted; at least one is."
    )
    whole_words: bool = Field(False, description="Choose words with all their tokens.")

    def prepare(self, raw: RawBatch) -> Prepared:
        """Mask a view of every document; the labels are the tokens to be predicted."""
        vocabulary, budget = raw.setting.vocabulary, raw.collate.budget
        texts, masks, masked = [], [], []
        for document in raw.texts:
            view = compose(self.views, document, raw.setting, raw.rng)
            text = view.span(0, min(len(view), budget))
            chosen = choose_tokens(text, vocabulary, self.rate, self.whole_words, raw.rng)
            texts.append(text)
            masks.append(chosen)
            masked.append(corrupt(text, chosen, vocabulary, raw.rng))
        batch = raw.collate(masked)
        labels = masked_labels(texts, masks, len(raw.collate.prefix), batch.input_ids.shape)
        return {"masked": batch, "labels": labels}

    def loss(self, step: Step) -> LossOutput:
        """Return the mean over all masked tokens of the batch."""
        batch = step.inputs["masked"]
        predictions = predict_tokens(step, batch, step.inputs["labels"])
        metrics = {
            "masked_token_accuracy": predictions.accuracy(),
            "masked_perplexity": predictions.perplexity(),
        }
        return LossOutput(predictions.loss, batch.lengths, metrics=metrics)
