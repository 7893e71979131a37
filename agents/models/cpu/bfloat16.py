"""Detection of bfloat16 units, without which PyTorch's CPU kernels for it are many times slower than float32.

With them, autocast to bfloat16 takes little more than half of a small encoder's step
(``experiments.benchmarks.cpu_step``).
"""

from __future__ import annotations

import torch


def has_bfloat16_units(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 matrices in hardware; GPUs are taken to."""
    if device.type != "cpu":
        return True
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
