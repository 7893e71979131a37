"""Error feedback: the error of a lossy codec in one message is added to the next.

A lossy codec that drops the same small numbers every time would never let them through. With a residual
``e``, a sender of changes ``d_1, d_2, ...`` sends ``c_t = C(d_t + e_{t-1})`` and keeps
``e_t = d_t + e_{t-1} - c_t``. Then

    sum_t c_t = sum_t d_t - e_T:

the sum at the receivers differs from the true sum only by the last residual, however coarse the codec. It
is meant for changes, which receivers add up; states (embeddings, parameters) are replaced by the next message
anyway. A message lost in transit is not sent again.

Sources: Seide et al., 1-Bit Stochastic Gradient Descent, 2014; Karimireddy et al., Error Feedback
Fixes SignSGD and other Gradient Compression Schemes, 2019.
"""

from __future__ import annotations

import numpy as np

from agents.lazy_torch import Tensor, torch
from protocols.codecs import Codec
from protocols.codecs.fp32 import Fp32


def compensated(
    change: Tensor, codec: Codec, residual: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return the change with the residual added, and the residual of the next message.

    Call it once for each message, and keep the residual: it is state of the sender.

    Args:
        change: `[P]`, or any shape that stays the same; not modified.
        codec: the message's codec.
        residual: residual of the last message, of the same shape and device; None before the first.

    Returns:
        The change plus the residual, not yet encoded; and the part of it that the codec will lose, None for
        a lossless one.

    Example:
        >>> import torch
        >>> from protocols.codecs.top_k import TopK
        >>> codec, change = TopK(share=0.5), torch.tensor([2.0, 1.0])
        >>> first, residual = compensated(change, codec, None)
        >>> second, residual = compensated(change, codec, residual)
        >>> first.tolist(), second.tolist(), residual.tolist()
        ([2.0, 1.0], [2.0, 2.0], [0.0, 2.0])
    """
    if isinstance(codec, Fp32):
        return change.clone(), residual
    total = change.clone() if residual is None else change + residual
    decoded = codec.roundtrip(np.ascontiguousarray(total.detach().cpu().numpy()))
    return total, total - torch.from_numpy(decoded).to(total.device)
