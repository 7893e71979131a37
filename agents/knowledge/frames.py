"""Frames: names of embedding spaces, and a space of anchors that unlike encoders share."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]


def frame_of(*parts: str | bytes) -> str:
    """Return the digest that names a frame, for instance of an encoder's weights."""
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.hexdigest()


def anchor_frame(points_ND: Points, anchors_AD: Points) -> Points:
    """Return embeddings in the common frame of public anchors, `[N, A]` with rows of length 1.

    Each entry is the cosine to an anchor, seen from the anchors' mean, less the mean over anchors: encoders
    that differ by a shift, a rotation and a scale agree (Moschella et al., "Relative representations", ICLR
    2023). Without the shift, encoders whose texts all point one way would find all points alike.

    Args:
        points_ND: `[N, D]`, an encoder's embeddings of texts.
        anchors_AD: `[A, D]`, the same encoder's embeddings of the anchors.
    """
    centre_D = anchors_AD.astype(np.float64).mean(axis=0)
    points, anchors = (
        unit((rows - centre_D).astype(np.float32)).astype(np.float64)
        for rows in (points_ND, anchors_AD)
    )
    cosines = points @ anchors.T
    return unit((cosines - cosines.mean(axis=1, keepdims=True)).astype(np.float32))


def unit(points: Points) -> Points:
    """Return rows of length 1; rows of zeros stay."""
    lengths = np.sqrt((points.astype(np.float64) ** 2).sum(axis=-1, keepdims=True))
    scaled: Points = (points / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return scaled
