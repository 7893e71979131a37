"""The divergence of a latent variable from its prior, as pure functions.

Legend: B texts, L latent dimensions.
"""

from __future__ import annotations

from agents.lazy_torch import Tensor, torch


def gaussian_kl(mean_BL: Tensor, log_variance_BL: Tensor) -> Tensor:
    """``KL(N(mean, variance) || N(0, 1)) = (mean^2 + variance - log variance - 1) / 2``, each by itself.

    Returns:
        `[B, L]` in nats, never negative.

    Source: Kingma and Welling, Auto-Encoding Variational Bayes, 2014, appendix B.
    """
    # expm1 keeps what is left of variance - 1 if the posterior has come close to the prior.
    return (mean_BL.square() + log_variance_BL.expm1() - log_variance_BL) / 2


def free_bits(kl_BL: Tensor, free_nats: float) -> Tensor:
    """``sum over dimensions of max(free_nats, mean over texts of the divergence)``.

    A dimension that costs less is not pushed towards the prior any further.

    Args:
        kl_BL: `[B, L]` in nats.
        free_nats: >= 0, for each dimension; 0 leaves the divergence unchanged.

    Returns:
        A scalar, nats of one text.

    Source: Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow, 2016.
    """
    return kl_BL.mean(dim=0).clamp(min=free_nats).sum()


def active_units(mean_BL: Tensor, threshold: float = 0.01) -> Tensor:
    """Count the latent dimensions whose posterior mean has a variance over texts above a threshold.

    Source: Burda et al., Importance Weighted Autoencoders, 2016.
    """
    return (torch.var(mean_BL, dim=0, correction=0) > threshold).sum()
