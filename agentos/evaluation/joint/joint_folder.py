"""The joint embedding as one folder that ``SentenceTransformer(folder, trust_remote_code=True)`` loads."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from agentos.evaluation.joint.joint_encoder import Projection, scales_of
from protocols.errors import RecordError

MODULE = "joint_module"
"""The file with the module's code, in the exported folder under the same name."""
SETTINGS = "joint.json"
PCA = "1_PCA"


def write_joint_folder(
    directory: Path,
    encoders: Mapping[str, Path],
    weights: Sequence[float],
    projection: Projection | None = None,
) -> None:
    """Copy encoders into one folder, with the files that make them one model of sentence-transformers.

    sentence-transformers has no module that puts embeddings side by side, so the folder brings its own, a
    short file that the library runs if it is told to trust it. A PCA is a layer that the library has.

    Args:
        directory: folder to create; it may exist if it is empty.
        encoders: exported folders by name.
        weights: weight of each, above 0.
        projection: reduces the joint rows; None keeps them.

    Raises:
        RecordError: the folder holds something already.
    """
    require_empty(directory)
    for name, folder in encoders.items():
        shutil.copytree(folder, directory / name)
    settings = {"members": list(encoders), "scales": scales_of(weights)}
    _write(directory / SETTINGS, settings)
    source = importlib.util.find_spec(f"{__package__}.{MODULE}")
    assert source is not None
    assert source.origin is not None
    shutil.copyfile(source.origin, directory / f"{MODULE}.py")
    modules = [("", f"{MODULE}.JointEmbedding")]
    if projection is not None:
        _write_pca(directory / PCA, projection)
        modules.append((PCA, "sentence_transformers.models.Dense"))
    _write(
        directory / "modules.json",
        [
            {"idx": index, "name": str(index), "path": path, "type": kind}
            for index, (path, kind) in enumerate(modules)
        ],
    )
    _write(
        directory / "config_sentence_transformers.json",
        {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )


def require_empty(directory: Path) -> None:
    """Refuse a folder that holds something already.

    Raises:
        RecordError: it does, or it is a file.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RecordError(
            f"{directory} exists already",
            expected="a new or an empty folder",
            actual="a folder with files" if directory.is_dir() else "a file",
            hint="name another folder, or remove this one",
        )


def _write_pca(folder: Path, projection: Projection) -> None:
    """Write a PCA as a layer: ``rows @ axes - mean @ axes``."""
    folder.mkdir()
    columns, width = projection.axes.shape
    _write(
        folder / "config.json",
        {
            "in_features": columns,
            "out_features": width,
            "bias": True,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    )
    weights = {
        "linear.weight": np.ascontiguousarray(projection.axes.T, dtype=np.float32),
        "linear.bias": (-projection.mean @ projection.axes).astype(np.float32),
    }
    save_file(weights, folder / "model.safetensors")


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8", newline="\n")
