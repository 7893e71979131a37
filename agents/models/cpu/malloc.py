"""Freed memory that is kept for the next training step, instead of being given back and fetched again.

A step frees all its activations, several megabytes each. By default the C library of Linux returns such
blocks to the kernel at once, and every step touches them anew, page by page: a tenth of the step of a small
encoder on a CPU.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform

logger = logging.getLogger(__name__)

KEPT_BYTES = 512 * 2**20
"""Freed memory at the end of the heap that is kept."""
LARGEST_BYTES = 32 * 2**20
"""Blocks up to this size come from the heap; it is the largest that the library takes."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; return whether it does now.

    Only under glibc, and not where the environment says how memory is to be allocated.
    """
    told = [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]
    if platform.libc_ver()[0] != "glibc" or told or "LD_PRELOAD" in os.environ:
        return False
    mallopt = ctypes.CDLL(None).mallopt
    kept = mallopt(_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, LARGEST_BYTES)
    if not kept:
        logger.warning("the C library does not let freed memory be kept; training is slower")
    return bool(kept)


def return_freed_memory() -> None:
    """Give what this process has freed back to the kernel, once: pages between what is in use as well.

    Under glibc alone; elsewhere nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
