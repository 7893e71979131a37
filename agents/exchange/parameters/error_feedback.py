"""Error feedback: what a codec loses of one message is added to the next.

A lossy codec that drops the same small numbers every time would never let them through. With a residual
``e``, a sender of changes ``d_1, d_2, ...`` sends ``c_t = C(d_t + e_{t-1})`` and keeps
``e_t = d_t + e_{t-1} - c_t``. Then

    sum_t c_t = sum_t d_t - e_T:

what all receivers add up differs from the truth by the last residual alone, however coarse the codec. It is
meant for changes, which receivers add up; states (embeddings, parameters) are replaced by the next message
anyway. A message that is lost on its way is not sent again.

Sources: F. Seide et al., 1-Bit Stochastic Gradient Descent, 2014; S. P. Karimireddy et al., Error Feedback
Fixes SignSGD and other Gradient Compression Schemes, 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agents.lazy_torch import torch
from protocols.codecs import Codec
from protocols.codecs.fp32 import Fp32

if TYPE_CHECKING:
    from torch import Tensor

RESIDUAL = "residual"


def compensated(
    change: Tensor, codec: Codec, memory: dict[str, Any], name: str = RESIDUAL
) -> Tensor:
    """Return what to send of a change, and remember what the codec is going to lose of it.

    Call it once for each message: the residual moves on.

    Args:
        change: `[P]`, or any shape that stays the same; left as it is.
        codec: that the message will be sent in.
        memory: of the learner; the residual lies in it, a tensor of the same shape and device.
        name: of the residual, where one agent sends several things.

    Returns:
        The change and the residual so far, not yet coded.

    Example:
        >>> import torch
        >>> from protocols.codecs.top_k import TopK
        >>> memory = {}
        >>> codec = TopK(share=0.5)
        >>> [compensated(torch.tensor([2.0, 1.0]), codec, memory).tolist() for _ in range(3)]
        [[2.0, 1.0], [2.0, 2.0], [2.0, 3.0]]
    """
    if isinstance(codec, Fp32):
        return change.clone()
    residual = memory.get(name)
    total = change.clone() if residual is None else change + residual
    heard = codec.roundtrip(np.ascontiguousarray(total.detach().cpu().numpy()))
    memory[name] = total - torch.from_numpy(heard).to(total.device)
    return total
