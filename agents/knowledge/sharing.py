"""Claims as messages: an agent packs what it states, a receiver unpacks it under the sender's name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.knowledge.claims import Claim
from protocols.errors import ConfigurationError
from protocols.messages.knowledge import CLAIM_KINDS, ORIGIN_BYTES, Claims


def message_of(claims: Sequence[Claim]) -> Claims:
    """Return the message of claims that share a frame and begin to hold in one episode.

    Raises:
        ConfigurationError: there are none, they differ in frame or episode, or an origin is no digest of
            16 bytes.
    """
    shared = {(claim.frame, claim.valid_from) for claim in claims}
    sizes = {len(origin) for claim in claims for origin in claim.origins}
    if len(shared) != 1 or sizes != {2 * ORIGIN_BYTES}:
        raise ConfigurationError(
            "these claims do not fit into one message",
            expected=f"claims of one frame and episode, with origins of {2 * ORIGIN_BYTES} digits",
            actual=f"{len(claims)} claims, {len(shared)} frames and episodes, digits {sorted(sizes)}",
            hint="send a message for each frame and episode",
        )
    labels = sorted({name for claim in claims for name, _ in claim.labels})
    counts = np.zeros((len(claims), len(labels)), np.float32)
    for row, claim in enumerate(claims):
        for name, count in claim.labels:
            counts[row, labels.index(name)] = count
    joined = b"".join(bytes.fromhex(origin) for claim in claims for origin in claim.origins)
    return Claims(
        frame=claims[0].frame,
        episode=claims[0].valid_from,
        labels=tuple(labels),
        kinds=np.array([CLAIM_KINDS.index(claim.kind) for claim in claims], np.uint8),
        embeddings=np.stack([claim.embedding for claim in claims]),
        counts=counts,
        origin_counts=np.array([len(claim.origins) for claim in claims], np.int32),
        origins=np.frombuffer(joined, np.uint8).reshape(-1, ORIGIN_BYTES),
    )


def claims_of(message: Claims, source: str) -> list[Claim]:
    """Return the claims of a message that was validated, as candidates stated by its sender."""
    ends = np.cumsum(message.origin_counts)
    claims = []
    for row, end in enumerate(ends):
        origins = message.origins[end - message.origin_counts[row] : end]
        named = zip(message.labels, message.counts[row].tolist(), strict=True)
        claims.append(
            Claim(
                kind=CLAIM_KINDS[message.kinds[row]],
                embedding=message.embeddings[row].copy(),
                frame=message.frame,
                labels=tuple(sorted((name, count) for name, count in named if count > 0)),
                sources=(source,),
                origins=tuple(sorted(origin.tobytes().hex() for origin in origins)),
                valid_from=message.episode,
            )
        )
    return claims
