"""Settings of glibc's allocator that keep freed memory in the process between training steps.

A step frees all its activations, several megabytes each. By default glibc returns such blocks to the kernel
at once, and the next step faults them in again page by page, which takes a tenth of a small encoder's step or
more (``experiments.benchmarks.steps.cpu_step``).
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform

logger = logging.getLogger(__name__)

KEPT_BYTES = 512 * 2**20
"""Free memory at the top of the heap that is kept."""
LARGEST_BYTES = 32 * 2**20
"""Blocks up to this size come from the heap; the largest threshold that glibc accepts."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h


def keep_freed_memory() -> bool:
    """Make this process keep the memory it frees; return whether it does now.

    Applies to glibc only, and leaves the allocator unchanged if the environment configures it.
    """
    configured = [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]
    if platform.libc_ver()[0] != "glibc" or configured or "LD_PRELOAD" in os.environ:
        return False
    mallopt = ctypes.CDLL(None).mallopt
    kept = mallopt(_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, LARGEST_BYTES)
    if not kept:
        logger.warning("glibc refused to keep freed memory in the process; training is slower")
    return bool(kept)


def return_freed_memory() -> None:
    """Return freed memory to the kernel once, pages between blocks in use included; a no-op outside glibc."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
