"""Contributions of words to a number: by integrated gradients, and by leaving the word out.

Legend: B texts, T tokens, W words, E width of token embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import LayerIntegratedGradients
from numpy.typing import NDArray
from torch import Tensor

from agentos.audit.explanation.targets import Target
from agentos.audit.explanation.text_words import Words
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.text.batch import to_device

STEPS = 64
"""Points on the path of integrated gradients."""
_BATCH = 128


@dataclass(frozen=True)
class Attribution:
    """Contributions of words to a number.

    Attributes:
        gradients: `[W]` float64, by integrated gradients; with those of the special tokens, they sum to
            `score - baseline` but for `residue`.
        occlusion: `[W]` float64, how far the number falls when the word is left out.
        score: the number of the whole text.
        baseline: the number when every token is padding.
        residue: what the integral's finite steps leave unexplained.
    """

    gradients: NDArray[np.float64]
    occlusion: NDArray[np.float64]
    score: float
    baseline: float
    residue: float


def attribute(encoder: LoadedEncoder, words: Words, target: Target) -> Attribution:
    """Measure how much each word of a text contributes to a number.

    Integrated gradients go along the straight line from the embedding of the padding token to that of each
    token of the text; special tokens stay as they are.

    Sources: Sundararajan et al., Axiomatic Attribution for Deep Networks, 2017; occlusion after
    Li et al., Understanding Neural Networks through Representation Erasure, 2016.
    """
    alone = scores(encoder, target, [words.without([word]) for word in range(len(words.words))])
    whole = float(scores(encoder, target, [words.ids])[0])
    gradients_T, baseline, residue = _integrated_gradients(encoder, words, target)
    return Attribution(words.of_words(gradients_T), whole - alone, whole, baseline, residue)


def scores(
    encoder: LoadedEncoder, target: Target, texts: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Return the number `[N]` of texts that are given by their tokens."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(texts), _BATCH):
            batch = to_device(encoder.collate(texts[start : start + _BATCH]), torch.device("cpu"))
            found.append(target.score(encoder.encoder.pool_batch(batch)).double())
    return torch.cat(found).numpy()


def _integrated_gradients(
    encoder: LoadedEncoder, words: Words, target: Target
) -> tuple[NDArray[np.float64], float, float]:
    """Return contributions of tokens `[T]`, the number at the beginning of the path, and the residue."""
    model = encoder.encoder
    before, _ = encoder.special_tokens
    batch = to_device(encoder.collate([words.ids]), torch.device("cpu"))
    baseline_1T = batch.input_ids.clone()
    baseline_1T[:, before : before + len(words.ids)] = encoder.padding_token

    def number(ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        return target.score(model(ids_BT, mask_BT.expand(len(ids_BT), -1)))

    method = LayerIntegratedGradients(number, model.backbone.get_input_embeddings())
    contributions_1TE, residue = method.attribute(
        batch.input_ids,
        baselines=baseline_1T,
        additional_forward_args=(batch.attention_mask,),
        n_steps=STEPS,
        internal_batch_size=_BATCH,
        return_convergence_delta=True,
    )
    contributions_T = contributions_1TE[0].sum(dim=-1).double().detach().numpy()
    with torch.inference_mode():
        baseline = float(number(baseline_1T, batch.attention_mask)[0])
    return contributions_T[before : before + len(words.ids)], baseline, float(residue[0])
