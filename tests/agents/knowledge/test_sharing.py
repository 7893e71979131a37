"""Claims survive a message, apart from text and sources, which do not travel."""

from __future__ import annotations

import numpy as np
import pytest

from agents.knowledge.claims import Claim
from agents.knowledge.extract import Extracted, exemplars, origin_of, prototypes
from agents.knowledge.frames import frame_of
from agents.knowledge.sharing import claims_of, message_of
from protocols.errors import ConfigurationError
from protocols.messages import Message
from protocols.seeding import generator
from protocols.wire.serialize import decode, encode


def stated() -> list[Claim]:
    points = generator(0, "sharing").standard_normal((12, 4)).astype(np.float32)
    origins = [origin_of(str(row)) for row in range(12)]
    known = Extracted(points, ["a", "b", "c"] * 4, origins, frame_of("e"), "agent-3", 2)
    return [*prototypes(known), *exemplars(known, 2)]


def test_receiver_gets_the_claims_under_the_name_of_the_sender() -> None:
    sent = stated()
    message = Message.compose(message_of(sent), sender=3, round=2, hop=0)
    received = decode(encode(message)).payload
    received.check_values()
    assert claims_of(received, "agent-3") == sent  # type: ignore[arg-type]
    other = claims_of(received, "agent-4")  # type: ignore[arg-type]
    assert {claim.sources for claim in other} == {("agent-4",)}


def test_claims_of_two_frames_need_two_messages() -> None:
    claims = stated()
    moved = claims[0].model_copy(update={"frame": frame_of("other")})
    with pytest.raises(ConfigurationError, match="2 frames"):
        message_of([*claims, moved])
    with pytest.raises(ConfigurationError, match="0 claims"):
        message_of([])
