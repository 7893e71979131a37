"""Quality of an encoder's language-model head: prediction of tokens of held-out text."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from agentos.evaluation.base import HeldOut, Metric, Task, too_few
from agents.models.text_encoder import TextEncoder, TokenScores
from protocols.errors import ConfigurationError
from protocols.seeding import derive, generator


class LanguageModelTask(Task):
    """Base of tasks on the tokens of held-out documents."""

    documents: int = Field(default=256, ge=1, description="documents to use, at most")

    def check(self, heldout: HeldOut) -> None:
        """Refuse an empty set of documents."""
        if not heldout.texts:
            raise too_few(self.kind, 1, 0, "documents")


class Perplexity(LanguageModelTask):
    """Perplexity and bits per token of a causal language model on held-out text.

    ``exp(sum_t -log p(x_t | x_<t) / T)`` over all T scored tokens of all texts
    together. Compare only models with the same tokenizer.

    Source: Jelinek et al., Perplexity - a measure of the difficulty of speech recognition tasks, 1977.

    Example:
        >>> Perplexity().needs_head
        'causal'
    """

    needs_head: ClassVar[Literal["masked", "causal"] | None] = "causal"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="perplexity",
            higher_is_better=False,
            help="Number of equally likely tokens that would leave the model as uncertain.",
        ),
        Metric(
            name="bits_per_token",
            higher_is_better=False,
            help="Binary logarithm of the perplexity.",
            minor=True,
        ),
    )

    kind: Literal["perplexity"] = "perplexity"

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``perplexity``, at least 1, and ``bits_per_token``, at least 0."""
        scores = scores_of(self, encoder, heldout, seed)
        nats = float(scores.nll.sum() / scores.count.sum())
        return {"perplexity": math.exp(nats), "bits_per_token": nats / math.log(2)}


class MaskedAccuracy(LanguageModelTask):
    """Masked-token accuracy and pseudo-perplexity of a masked language model on held-out text.

    The same tokens are masked for every encoder and in every round. Pseudo-perplexity is the
    exponential of the mean negative log-likelihood of the masked tokens; it is not comparable with
    the perplexity of a causal model.

    Source: Salazar et al., Masked Language Model Scoring, 2020.

    Example:
        >>> MaskedAccuracy().metrics[1].label
        'Pseudo-perplexity'
    """

    needs_head: ClassVar[Literal["masked", "causal"] | None] = "masked"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="masked_accuracy",
            higher_is_better=True,
            help="Share of masked tokens that the model predicts correctly.",
            percent=True,
        ),
        Metric(
            name="pseudo_perplexity",
            label="Pseudo-perplexity",
            higher_is_better=False,
            help="Number of equally likely tokens that would leave the model as uncertain.",
        ),
    )

    kind: Literal["masked_accuracy"] = "masked_accuracy"

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``masked_accuracy`` in [0, 1] and ``pseudo_perplexity``, at least 1."""
        scores = scores_of(self, encoder, heldout, seed)
        count = scores.count.sum()
        return {
            "masked_accuracy": float(scores.correct.sum() / count),
            "pseudo_perplexity": math.exp(float(scores.nll.sum() / count)),
        }


def scores_of(
    task: LanguageModelTask, encoder: TextEncoder, heldout: HeldOut, seed: int
) -> TokenScores:
    """Score the tokens of a sample of held-out documents, the same for every encoder.

    Raises:
        ConfigurationError: the encoder has no head of the kind that the task needs, or the
            documents have no token to score.
    """
    order = generator(seed, "evaluation", task.kind).permutation(len(heldout.texts))
    texts = [heldout.texts[i] for i in order[: task.documents]]
    scores = encoder.token_scores(texts, derive(seed, "evaluation", task.kind, "tokens"))
    if scores is None or scores.kind != task.needs_head:
        raise ConfigurationError(
            f"The evaluation task {task.kind!r} needs a {task.needs_head} language-model head",
            expected=f"an encoder with a {task.needs_head} language-model head",
            actual="an encoder without a head" if scores is None else f"a {scores.kind} head",
            hint=f"train with an objective that has one, or take {task.kind} out of evaluation.tasks",
        )
    if not scores.count.sum():
        raise too_few(task.kind, 1, 0, "tokens to predict; the documents are too short")
    return scores
