"""Memory of this machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Files with the limit of a container, in the second version of control groups and in the first."""
_UNKNOWN = 8 * 2**30


def machine_bytes() -> int:
    """Return the memory of this machine, or of the container that it runs in, in bytes."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return _UNKNOWN
    limits = [physical]
    for name in _LIMITS:
        with suppress(OSError, ValueError):  # the file is missing, or contains "max"
            limits.append(int((_CGROUP / name).read_text(encoding="utf-8")))
    return min(limits)
