"""Replaced-token detection: tell the tokens that a small generator has put into a text.

Legend: B texts, T tokens, M masked tokens in all texts, V size of the vocabulary, W width of the backbone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from agents import lazy_models
from agents.lazy_torch import F, Tensor, nn, torch
from agents.objectives.base import LossOutput, Objective, Prepared, Ratio, RawBatch, Step
from agents.text.batch import Batch
from agents.text.masking import IGNORED, choose_tokens, masked_labels
from agents.views import VIEWS, Crop, View, compose
from protocols.spec import Kinds

if TYPE_CHECKING:
    from agents.models.encoder import Encoder

_GENERATOR, _DISCRIMINATOR = "rtd_generator", "rtd_discriminator"


class ReplacedTokenDetection(Objective):
    """ELECTRA (Clark et al. 2020): tell for every token whether a small generator has replaced it.

    ``mean over masked t of -log p_G(x_t | masked text) + lambda * mean over all t of BCE(D(filled text)_t,
    filled_t != x_t)``, in nats. The generator G, a narrow masked language model trained with the encoder,
    sees the chosen tokens masked, and each is replaced by a draw from G; a draw equal to the original counts
    as original. The encoder with a head D judges every token of the filled text except special ones, so it
    learns from all tokens and never sees a mask. No gradient flows from D to G through the draws; word
    embeddings are shared by both. The pooled states of the filled texts are offered to exchanges.

    Source: Clark et al., ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators, 2020.
    """

    kind: Literal["replaced_token_detection"] = "replaced_token_detection"
    views: tuple[Annotated[View, Kinds(VIEWS)], ...] = Field(
        (Crop(shortest=1.0, longest=1.0),),
        min_length=1,
        description="Augmentations before masking; by default a random span of the largest length.",
    )
    rate: float = Field(
        0.15, gt=0.0, lt=1.0, description="Probability that a token is masked; at least one is."
    )
    generator_size: float = Field(
        0.25, gt=0.0, le=1.0, description="Width of the generator, as a fraction of the encoder's."
    )
    generator_layers: int | None = Field(
        None, ge=1, le=48, description="Layers of the generator; unset: as many as the encoder has."
    )
    discriminator_weight: float = Field(
        50.0, gt=0.0, description="Factor of the discriminator's loss relative to the generator's."
    )

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build the generator, and the discriminator's head of two layers."""
        return {
            _GENERATOR: lazy_models.MaskedGenerator(
                encoder.backbone, self.generator_size, self.generator_layers
            ),
            _DISCRIMINATOR: nn.Sequential(
                nn.Linear(encoder.width, encoder.width), nn.GELU(), nn.Linear(encoder.width, 1)
            ),
        }

    def prepare(self, raw: RawBatch) -> Prepared:
        """Mask a view of every document, and draw the numbers that will choose the replacements."""
        vocabulary, budget = raw.setting.vocabulary, raw.collate.budget
        mask, texts, masks = vocabulary.mask(), [], []
        for document in raw.texts:
            view = compose(self.views, document, raw.setting, raw.rng)
            texts.append(view.span(0, min(len(view), budget)))
            masks.append(choose_tokens(texts[-1], vocabulary, self.rate, False, raw.rng))
        batch = raw.collate(
            [
                text.with_tokens(np.where(chosen, mask, text.tokens))
                for text, chosen in zip(texts, masks, strict=True)
            ]
        )
        labels = masked_labels(texts, masks, len(raw.collate.prefix), batch.input_ids.shape)
        ordinary = ~vocabulary.special[batch.input_ids] & batch.attention_mask.astype(bool)
        return {
            "masked": batch,
            "labels": labels,
            # A mask is a special token, and what it hides is not.
            "judged": ordinary | (labels != IGNORED),
            # Drawn here, the replacements do not depend on the device or on how the batch is divided.
            "draws": raw.rng.random(batch.input_ids.shape, dtype=np.float32),
        }

    def loss(self, step: Step) -> LossOutput:
        """Fill the masked tokens with draws from the generator, and judge all tokens."""
        inputs, encoder = step.inputs, step.encoder
        batch, labels_BT, judged_BT = inputs["masked"], inputs["labels"], inputs["judged"]

        def rows(part: Batch, *arrays: Tensor) -> Tensor:
            width = part.input_ids.shape[1]
            return _detect(encoder, part, *(array_BT[:, :width] for array_BT in arrays))

        rows_BX = step.rowwise(rows, batch, labels_BT, judged_BT, inputs["draws"])
        columns = len(_Sums._fields)
        sums = _Sums(*rows_BX[:, :columns].sum(dim=0))
        counts = sums.detached()
        masked, judged = (labels_BT != IGNORED).sum(), judged_BT.sum()
        generator = sums.generator_nats / masked.clamp(min=1)
        discriminator = sums.discriminator_nats / judged.clamp(min=1)
        metrics = {
            "generator_accuracy": Ratio(counts.predicted, masked),
            "generator_perplexity": Ratio(counts.generator_nats, masked, exponential=True),
            "discriminator_nats": Ratio(counts.discriminator_nats, judged),
            "discriminator_accuracy": Ratio(counts.right, judged),
            "replaced_share": Ratio(counts.replaced, judged),
            "replaced_recall": Ratio(counts.found, counts.replaced),
            "replaced_precision": Ratio(counts.found, counts.flagged),
        }
        return LossOutput(
            generator + self.discriminator_weight * discriminator,
            batch.lengths,
            (rows_BX[:, columns:],),
            metrics,
            decoder_tokens=int(batch.lengths.sum()),
        )


class _Sums(NamedTuple):
    """Sums over the tokens of a text, or of a batch.

    Attributes:
        generator_nats: ``-log p`` of the masked tokens, attached to the graph.
        discriminator_nats: binary cross-entropy of the judged tokens, attached to the graph.
        predicted: masked tokens that are the generator's most probable prediction.
        right: tokens judged rightly.
        replaced: tokens that are not the original ones.
        flagged: tokens judged to be replaced.
        found: replaced tokens among them.
    """

    generator_nats: Tensor
    discriminator_nats: Tensor
    predicted: Tensor
    right: Tensor
    replaced: Tensor
    flagged: Tensor
    found: Tensor

    def detached(self) -> _Sums:
        """Return the sums without a graph."""
        return _Sums(*(each.detach() for each in self))


def draw_tokens(logits_MV: Tensor, draws_M: Tensor) -> Tensor:
    """Return tokens `[M]` drawn in proportion to their probabilities, by inversion of the distribution.

    Args:
        logits_MV: float32 scores of the vocabulary.
        draws_M: numbers drawn uniformly from [0, 1).
    """
    cumulated_MV = logits_MV.softmax(dim=-1).cumsum(dim=-1)
    # Rounded sums do not end at 1 exactly, and the last one must lie above every threshold.
    thresholds_M1 = draws_M[:, None] * cumulated_MV[:, -1:]
    drawn_M1 = torch.searchsorted(cumulated_MV, thresholds_M1, right=True)
    return drawn_M1[:, 0].clamp(max=logits_MV.shape[1] - 1)


def _detect(
    encoder: Encoder, batch: Batch, labels_BT: Tensor, judged_BT: Tensor, draws_BT: Tensor
) -> Tensor:
    """Fill masked texts and judge their tokens: `[B, X + W]`, the X sums and the pooled state of each."""
    generator: Any = encoder.heads[_GENERATOR]
    masked_BT = labels_BT != IGNORED
    targets_M = labels_BT[masked_BT]

    def spread(values_M: Tensor) -> Tensor:
        return torch.zeros_like(draws_BT).masked_scatter(masked_BT, values_M.float())

    logits_MV = generator(batch, masked_BT)
    drawn_M = draw_tokens(logits_MV.detach(), draws_BT[masked_BT])
    replaced_BT = spread(drawn_M != targets_M)
    ids_BT = batch.input_ids.masked_scatter(masked_BT, drawn_M)
    states_BTW = encoder.states(ids_BT, batch.attention_mask, batch.token_type_ids)
    scores_BT = encoder.heads[_DISCRIMINATOR](states_BTW)[..., 0].float()
    nats_BT = F.binary_cross_entropy_with_logits(scores_BT, replaced_BT, reduction="none")
    flagged_BT = (scores_BT > 0).float() * judged_BT
    sums = _Sums(
        generator_nats=spread(F.cross_entropy(logits_MV, targets_M, reduction="none")),
        discriminator_nats=nats_BT * judged_BT,
        predicted=spread(logits_MV.argmax(dim=-1) == targets_M),
        right=(flagged_BT == replaced_BT) * judged_BT,
        replaced=replaced_BT,
        flagged=flagged_BT,
        found=flagged_BT * replaced_BT,
    )
    columns = torch.stack([each_BT.float().sum(dim=1) for each_BT in sums], dim=1)
    pooled_BW = lazy_models.pool(states_BTW, batch.attention_mask, encoder.pooling)
    return torch.cat([columns, pooled_BW], dim=1)
