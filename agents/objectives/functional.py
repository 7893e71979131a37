"""Losses as pure functions.

Legend: B pairs in a batch, A anchors in a batch, N anchors in all, D width, K classes.
Every temperature divides. Every loss is a mean over its rows, in nats.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(first_BD: Tensor, second_BD: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE with in-batch negatives.

    ``(CE(S, i) + CE(S^T, i)) / 2`` with ``S = cos(first_i, second_j) / temperature``: each row's positive
    is the other view of the same document, its negatives are the other views of all the others.

    Args:
        first_BD: `[B, D]`, not necessarily normalised.
        second_BD: `[B, D]`, the other view of the same rows.
        temperature: > 0, divides the cosines.

    Returns:
        A scalar.

    Source: van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018;
    symmetric as in Radford et al., CLIP, 2021.

    Example:
        >>> import torch
        >>> eye = torch.eye(3)
        >>> bool(info_nce(eye, eye, 0.05) < info_nce(eye, eye.roll(1, 0), 0.05))
        True
    """
    scores_BB = normalise(first_BD) @ normalise(second_BD).T / temperature
    targets_B = torch.arange(len(scores_BB), device=scores_BB.device)
    rows = F.cross_entropy(scores_BB, targets_B)
    columns = F.cross_entropy(scores_BB.T, targets_B)
    return (rows + columns) / 2


def bank_contrast(
    own_AD: Tensor, bank_ND: Tensor, positives_A: Tensor, temperature: float
) -> Tensor:
    """InfoNCE of own embeddings against a fixed bank of another agent's.

    ``CE(cos(own_a, bank_n) / temperature, positives_a)``: the bank's row of the same anchor attracts, all
    its other rows repel.

    Args:
        own_AD: `[A, D]`, takes the gradient.
        bank_ND: `[N, D]`, normalised, a constant.
        positives_A: `[A]` int64, row of the bank that belongs to each own embedding.
        temperature: > 0, divides the cosines.

    Source: Tian et al., Contrastive Representation Distillation, 2020.
    """
    scores_AN = normalise(own_AD) @ bank_ND.T / temperature
    return F.cross_entropy(scores_AN, positives_A)


def similarity_distribution(embeddings_ND: Tensor, temperature: float) -> Tensor:
    """Softmax over each row's cosines to all the other rows; the diagonal is masked to exactly 0.

    Args:
        embeddings_ND: `[N, D]`, N >= 2.
        temperature: > 0, divides the cosines.

    Returns:
        `[N, N]`, rows sum to one.
    """
    return masked_log_similarity(embeddings_ND, temperature).exp()


def masked_log_similarity(embeddings_ND: Tensor, temperature: float) -> Tensor:
    """Logarithm of `similarity_distribution`; the diagonal is -inf."""
    unit_ND = normalise(embeddings_ND)
    scores_NN = unit_ND @ unit_ND.T / temperature
    diagonal = torch.eye(len(scores_NN), dtype=torch.bool, device=scores_NN.device)
    return scores_NN.masked_fill(diagonal, float("-inf")).log_softmax(dim=1)


def similarity_distillation(own_AD: Tensor, target_AA: Tensor, temperature: float) -> Tensor:
    """``KL(target || own)`` between rows of similarity distributions, a mean over rows.

    Args:
        own_AD: `[A, D]` embeddings, take the gradient; A >= 3, or every row is trivially certain.
        target_AA: `[A, A]`, rows are probabilities with a zero diagonal, a constant.
        temperature: of the own distribution.

    Source: Fang et al., SEED: Self-supervised Distillation for Visual Representation, 2021.
    """
    log_own_AA = masked_log_similarity(own_AD, temperature)
    # Where the target is zero its share of the divergence is zero, whatever the student says.
    log_own_AA = log_own_AA.masked_fill(target_AA == 0, 0.0)
    log_target_AA = target_AA.clamp(min=torch.finfo(target_AA.dtype).tiny).log()
    return (target_AA * (log_target_AA - log_own_AA)).sum(dim=1).mean()


def soft_cross_entropy(logits_BK: Tensor, targets_BK: Tensor) -> Tensor:
    """Cross-entropy ``-sum_k targets log softmax(logits)``, a mean over rows.

    Args:
        logits_BK: `[B, K]`, takes the gradient.
        targets_BK: `[B, K]` probabilities, a constant.
    """
    return F.cross_entropy(logits_BK, targets_BK)


def normalise(x: Tensor) -> Tensor:
    """Scale the last axis to unit length."""
    return F.normalize(x, dim=-1)
