"""The device of a host, and its share of it."""

from __future__ import annotations

import torch


def choose_device(name: str) -> torch.device:
    """Return the device of a host: the requested device, or the best available."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def share_gpu(share: float) -> float:
    """Reserve a share of the GPU's memory, at most what is free now; return the reserved share.

    Hosts that share a GPU would otherwise each take all they can, and the last would fail.
    """
    free_bytes, total_bytes = torch.cuda.mem_get_info()
    taken = min(share, free_bytes / total_bytes)
    torch.cuda.set_per_process_memory_fraction(taken)
    return taken
