"""Clipping and Gaussian noise: each sender protects the numbers of its own messages.

Legend: P numbers in a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from protocols.messages import Embeddings, Payload, PrivateEmbeddings, Prototypes, Statistics
from protocols.spec import Spec

_EQUALISED = "counts"
"""Array of numbers of texts; each becomes the mean, as noise of the scale of embeddings would hide none."""
_ON_THE_SPHERE = (Embeddings, PrivateEmbeddings, Prototypes)
"""Payloads whose rows are unit vectors, or means of some."""

Arrays = Mapping[str, NDArray[np.float32]]


class Privacy(Spec):
    """Clipping and noise of every message that an agent composes: the Gaussian mechanism, at the sender.

    All numbers of a message make one vector. What depends on no private text is taken off first: the initial
    parameters, where parameters are sent. The rest is scaled down to length `clip` if it is longer, and
    normal noise of standard deviation ``noise * clip`` is added to each number. Then labels and similarities
    are made distributions again, embeddings and prototypes unit vectors, and the texts behind each prototype
    are taken to be equally many; that uses nothing but the noised numbers, and costs no privacy.

    The noise of one number is as large as without the others, so a message of P numbers keeps a signal of
    about ``1 / (noise * sqrt(P))`` of its noise: short messages bear it better than long ones.

    The noise derives from the run's seed, the agent, the round and the hop, so that runs stay reproducible to
    the bit. Who knows the seed can subtract it: this simulates what the protection does to learning, and
    real agents must draw it from a secret source, in a way that is safe for floating-point numbers (Mironov,
    On Significance of the Least Significant Bits for Differential Privacy, 2012).

    Sources: Dwork and Roth, The Algorithmic Foundations of Differential Privacy, 2014; Abadi et al., Deep
    Learning with Differential Privacy, 2016, on clipping.
    """

    clip: float | None = Field(
        1.0,
        gt=0.0,
        description="Largest length of a message; null to leave it, without a guarantee.",
    )
    noise: float = Field(
        0.0, ge=0.0, description="Standard deviation of the noise, in units of `clip`, or of 1."
    )
    delta: float = Field(
        1e-5, gt=0.0, lt=1.0, description="Delta at which the guarantee's epsilon is stated."
    )


def protect(
    payload: Payload, privacy: Privacy, known: Arrays, draws: np.random.Generator
) -> Payload:
    """Return a payload with its numbers clipped and noised, see `Privacy`; the given one is left as it is.

    Args:
        payload: what the agent would send.
        privacy: the protection.
        known: by name of an array, what of it depends on no private text; 0 where it is not named.
        draws: the noise.
    """
    names = [name for name in noised_fields(type(payload)) if name != _EQUALISED]
    fields: dict[str, Any] = {name: getattr(payload, name) for name in type(payload).model_fields}
    centres = {name: known.get(name, np.float32(0)) for name in names}
    apart = [(fields[name] - centres[name]).astype(np.float64) for name in names]
    length = float(np.sqrt(sum(float(np.square(values).sum()) for values in apart)))
    scale = 1.0 if privacy.clip is None else privacy.clip / max(length, privacy.clip)
    deviation = privacy.noise * (1.0 if privacy.clip is None else privacy.clip)
    for name, values in zip(names, apart, strict=True):
        noise = draws.standard_normal(values.shape) * deviation
        noised = (centres[name] + values * scale + noise).astype(np.float32)
        fields[name] = _restored(type(payload), name, noised)
    if _EQUALISED in fields:
        fields[_EQUALISED] = np.full_like(fields[_EQUALISED], fields[_EQUALISED].mean())
    return type(payload)(**fields)


def noised_fields(payload: type[Payload]) -> tuple[str, ...]:
    """Return the arrays of a class of payload that `protect` covers: those of floating-point numbers."""
    return tuple(name for name, array in payload.array_fields.items() if "float32" in array.dtypes)


def uncovered_fields(payload: type[Payload]) -> tuple[str, ...]:
    """Return the other arrays: integers, such as the ids of a ranking, which noise cannot cover."""
    return tuple(name for name in payload.array_fields if name not in noised_fields(payload))


def _restored(
    payload: type[Payload], name: str, values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Give noised numbers the properties that receivers check or rely on."""
    if issubclass(payload, _ON_THE_SPHERE):
        lengths = np.linalg.norm(values, axis=-1, keepdims=True)
        units: NDArray[np.float32] = np.divide(
            values, lengths, out=np.zeros_like(values), where=lengths > 0
        )
        return units
    if issubclass(payload, Statistics) and name == "squares":
        return np.maximum(values, 0.0, out=values)
    restored = payload.after_decoding(name, values)
    empty = ~restored.any(axis=-1)
    if restored.ndim > 1 and empty.any():  # every number of a row was noised below 0
        restored[empty] = 1.0
        restored = payload.after_decoding(name, restored)
    return restored
