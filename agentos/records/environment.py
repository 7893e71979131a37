"""The environment of a run: machine, Python and package versions."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

PACKAGES = ("llm-agentos", "torch", "transformers", "tokenizers", "ray", "numpy", "scikit-learn")


def environment() -> dict[str, Any]:
    """Return the environment of the run: Python, platform, cores and package versions."""
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
        "cores": os.cpu_count(),
        "packages": versions,
    }
