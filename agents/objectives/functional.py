"""Losses as pure functions.

Legend: B pairs in a batch, V = 2B views, A anchors in a batch, N anchors or candidates in all, L candidates
of a row, D width, K classes. Every temperature divides. Every loss is a mean over its rows, in nats.
"""

from __future__ import annotations

from agents.lazy_torch import F, Tensor, torch

_NEVER = -1e30
"""A finite stand-in for -inf, so that it can be multiplied and subtracted."""


def contrast(
    scores_BN: Tensor,
    positives_B: Tensor,
    excluded_BN: Tensor | None = None,
    hardness: float = 0.0,
) -> Tensor:
    """Cross-entropy of each row's positive among its candidates, ``-log(e^p / (e^p + Z))``.

    ``Z`` is the sum of ``e^s`` over the row's K negatives. With a `hardness` b > 0 they are weighted by
    importance, harder negatives more: ``Z = K * sum(e^((1 + b) s)) / sum(e^(b s))``.

    Args:
        scores_BN: `[B, N]` cosines, already divided by the temperature, as `one_way` and `nt_xent` do.
        positives_B: `[B]` int64, the column of each row's positive.
        excluded_BN: `[B, N]` bool, columns that are not negatives of a row; never its positive.
        hardness: b >= 0; the gradient goes through the weights too, as in the authors' code.

    Source: Robinson et al., Contrastive Learning with Hard Negative Samples, 2021, without the correction
    for positives among the negatives (their tau+ = 0).

    Example:
        >>> import torch
        >>> scores = torch.tensor([[0.0, 0.0, 1.0]])
        >>> [round(float(contrast(scores, torch.tensor([0]), hardness=b)), 2) for b in (0.0, 5.0)]
        [1.55, 1.86]
    """
    if excluded_BN is not None:
        scores_BN = scores_BN.masked_fill(excluded_BN, float("-inf"))
    if hardness == 0.0:
        return F.cross_entropy(scores_BN, positives_B)
    columns_B1 = positives_B.unsqueeze(1)
    positive_B = scores_BN.gather(1, columns_B1).squeeze(1)
    others_BN = scores_BN.scatter(1, columns_B1, float("-inf"))
    out_BN = others_BN.isinf()
    # Finite, so that a row without any negative has a loss and a gradient of 0.
    others_BN = others_BN.masked_fill(out_BN, _NEVER)
    count_B = (~out_BN).sum(dim=1).clamp(min=1).to(scores_BN.dtype)
    log_z_B = (
        count_B.log()
        + torch.logsumexp((1.0 + hardness) * others_BN, dim=1)
        - torch.logsumexp(hardness * others_BN, dim=1)
    )
    return (torch.logaddexp(positive_B, log_z_B) - positive_B).mean()


def one_way(
    queries_BD: Tensor,
    keys_ND: Tensor,
    temperature: float | Tensor,
    *,
    others_BM: Tensor | None = None,
    excluded_BN: Tensor | None = None,
    hardness: float = 0.0,
) -> Tensor:
    """InfoNCE in one direction: the positive of query i is key i, all other keys are its negatives.

    Args:
        queries_BD: `[B, D]`, not necessarily normalised.
        keys_ND: `[N, D]`, N >= B; those beyond B are negatives of every query, from a queue for instance.
        temperature: > 0, divides the cosines.
        others_BM: `[B, M]` cosines to further negatives, which may be in another space.
        excluded_BN: `[B, N + M]` bool; see `contrast`.
        hardness: see `contrast`.

    Source: van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018; with a
    queue: He et al., Momentum Contrast for Unsupervised Visual Representation Learning, 2020.
    """
    scores_BN = cosines(queries_BD, keys_ND)
    if others_BM is not None:
        scores_BN = torch.cat([scores_BN, others_BM], dim=1)
    positives_B = torch.arange(len(scores_BN), device=scores_BN.device)
    return contrast(scores_BN / temperature, positives_B, excluded_BN, hardness)


def info_nce(first_BD: Tensor, second_BD: Tensor, temperature: float | Tensor) -> Tensor:
    """InfoNCE with in-batch negatives, the mean of both directions.

    Args:
        first_BD: `[B, D]`, not necessarily normalised.
        second_BD: `[B, D]`, the other view of the same rows.
        temperature: > 0, divides the cosines.

    Source: see `one_way`; symmetric as in Radford et al., CLIP, 2021.

    Example:
        >>> import torch
        >>> eye = torch.eye(3)
        >>> bool(info_nce(eye, eye, 0.05) < info_nce(eye, eye.roll(1, 0), 0.05))
        True
    """
    there = one_way(first_BD, second_BD, temperature)
    return (there + one_way(second_BD, first_BD, temperature)) / 2


def nt_xent(
    first_BD: Tensor,
    second_BD: Tensor,
    temperature: float | Tensor,
    *,
    excluded_VV: Tensor | None = None,
    hardness: float = 0.0,
) -> Tensor:
    """NT-Xent over 2B views: the negatives of a view are all views of other documents.

    Args:
        first_BD: `[B, D]`, not necessarily normalised.
        second_BD: `[B, D]`, the other view of the same rows.
        temperature: > 0, divides the cosines.
        excluded_VV: `[2B, 2B]` bool, views that are not negatives of a view; see `contrast`.
        hardness: see `contrast`.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020.
    """
    views_VD = torch.cat([first_BD, second_BD])
    scores_VV = cosines(views_VD, views_VD)
    positives_V = torch.arange(len(views_VD), device=scores_VV.device).roll(len(first_BD))
    itself_VV = torch.eye(len(views_VD), dtype=torch.bool, device=scores_VV.device)
    excluded_VV = itself_VV if excluded_VV is None else itself_VV | excluded_VV
    return contrast(scores_VV / temperature, positives_V, excluded_VV, hardness)


def false_negatives(cosines_BN: Tensor, positives_B: Tensor, margin: float = 0.0) -> Tensor:
    """Return which candidates a guide finds more alike to a query than its positive is.

    Args:
        cosines_BN: `[B, N]` cosines of queries to candidates, in the guide's space.
        positives_B: `[B]` int64, the column of each row's positive.
        margin: also exclude those within this margin of the positive.

    Returns:
        `[B, N]` bool, false at the positives.

    Source: Solatorio, GISTEmbed: Guided In-sample Selection of Training Negatives, 2024.
    """
    columns_B1 = positives_B.unsqueeze(1)
    cosines_BN = cosines_BN.detach()
    found_BN = cosines_BN > cosines_BN.gather(1, columns_B1) - margin
    return found_BN.scatter(1, columns_B1, False)


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
    return contrast(cosines(own_AD, bank_ND) / temperature, positives_A)


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
    scores_NN = cosines(embeddings_ND, embeddings_ND) / temperature
    diagonal = torch.eye(len(scores_NN), dtype=torch.bool, device=scores_NN.device)
    return scores_NN.masked_fill(diagonal, float("-inf")).log_softmax(dim=1)


def similarity_distillation(own_AD: Tensor, target_AA: Tensor, temperature: float) -> Tensor:
    """``KL(target || own)`` between rows of similarity distributions, a mean over rows.

    Args:
        own_AD: `[A, D]` embeddings, take the gradient; A >= 3, or every row is trivially certain.
        target_AA: `[A, A]`, rows are probabilities with a zero diagonal, a constant.
        temperature: temperature of the student's distribution.

    Source: Fang et al., SEED: Self-supervised Distillation for Visual Representation, 2021.
    """
    log_own_AA = masked_log_similarity(own_AD, temperature)
    # If the target is zero, its share of the divergence is zero, independent of the student.
    log_own_AA = log_own_AA.masked_fill(target_AA == 0, 0.0)
    log_target_AA = target_AA.clamp(min=torch.finfo(target_AA.dtype).tiny).log()
    return (target_AA * (log_target_AA - log_own_AA)).sum(dim=1).mean()


def list_net(
    own_AD: Tensor, candidates_ALD: Tensor, targets_AL: Tensor, temperature: float
) -> Tensor:
    """ListNet: cross-entropy between two top-one distributions over each row's own candidates.

    ``-sum_l targets log softmax(cos(own, candidates) / temperature)``, a mean over rows.

    Args:
        own_AD: `[A, D]` embeddings, take the gradient.
        candidates_ALD: `[A, L, D]` embeddings of each row's candidates, constants.
        targets_AL: `[A, L]`, rows are probabilities, a constant.
        temperature: > 0, divides the cosines.

    Source: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, 2007.
    """
    with torch.autocast(own_AD.device.type, enabled=False):
        own_AD, candidates_ALD = normalise(_precise(own_AD)), normalise(_precise(candidates_ALD))
        scores_AL = (candidates_ALD @ own_AD.unsqueeze(-1)).squeeze(-1)
        return soft_cross_entropy(scores_AL / temperature, targets_AL)


def soft_cross_entropy(logits_BK: Tensor, targets_BK: Tensor) -> Tensor:
    """Cross-entropy ``-sum_k targets log softmax(logits)``, a mean over rows.

    Args:
        logits_BK: `[B, K]`, takes the gradient.
        targets_BK: `[B, K]` probabilities, a constant.
    """
    return F.cross_entropy(logits_BK, targets_BK)


def cosine_distance(own_AD: Tensor, target_AD: Tensor) -> Tensor:
    """``1 - cos`` between each row and its target, a mean over rows; half the squared distance of unit rows.

    Args:
        own_AD: `[A, D]`, takes the gradient.
        target_AD: `[A, D]`, a constant.
    """
    with torch.autocast(own_AD.device.type, enabled=False):
        own_AD, target_AD = normalise(_precise(own_AD)), normalise(_precise(target_AD))
        return (1.0 - (own_AD * target_AD).sum(dim=1)).mean()


def cosines(first_MD: Tensor, second_ND: Tensor) -> Tensor:
    """Return the cosines `[M, N]` between rows, in float32 at least.

    Also under autocast: three digits, as bfloat16 has them, are too few to divide by a small temperature.
    """
    with torch.autocast(first_MD.device.type, enabled=False):
        return normalise(_precise(first_MD)) @ normalise(_precise(second_ND)).T


def normalise(x: Tensor) -> Tensor:
    """Scale the last axis to unit length."""
    return F.normalize(x, dim=-1)


def _precise(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
