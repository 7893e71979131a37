"""The environment of a run: machine, Python and package versions."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("llm-agentos", "torch", "transformers", "tokenizers", "ray", "numpy", "scikit-learn")

FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")
"""Features of processors that decide how fast they multiply matrices, as Linux names them."""


def processor(description: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor and those of its `FEATURES`; outside Linux the name alone.

    Args:
        description: the processor as Linux describes it.
    """
    try:
        lines = description.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    parts = (line.partition(":") for line in lines)
    fields = {name.strip(): value.strip() for name, _, value in parts}
    flags = {*(fields.get("flags") or fields.get("Features") or "").split()}
    found = [feature for feature in FEATURES if feature in flags]
    return f"{fields.get('model name') or platform.machine()} ({', '.join(found)})"


def environment() -> dict[str, Any]:
    """Return the environment of the run: Python, platform, processor, cores and package versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "packages": versions,
    }
