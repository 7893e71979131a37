"""Memory of this machine."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN = 8 * 2**30


def machine_bytes() -> int:
    """Return the memory of this machine, or of the container that it runs in, in bytes."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return _UNKNOWN
    try:
        return min(physical, int(_CGROUP.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # there is none, or it holds "max"
        return physical
