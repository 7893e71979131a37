"""Detection of bfloat16 units, without which PyTorch's CPU kernels for it are many times slower than float32.

With them, autocast to bfloat16 takes a third to a half of an encoder's step
(``experiments.benchmarks.steps.cpu_step``).
"""

from __future__ import annotations

import platform

import torch

_X86 = ("x86_64", "AMD64")


def has_bfloat16_units(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 matrices in hardware; GPUs are assumed to."""
    if device.type != "cpu":
        return True
    if platform.machine() in _X86:
        # oneDNN supports bfloat16 on every processor with AVX-512, but emulates it where there are no units.
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
