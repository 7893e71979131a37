"""Keys name agents in ascending order, each once."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.errors import RejectedMessage
from protocols.messages import Keys


@pytest.mark.parametrize(
    ("ids", "right"), [([0], True), ([0, 4], True), ([1, 1], False), ([2, 1], False), ([-1], False)]
)
def test_agents_of_keys_are_ascending(ids: list[int], right: bool) -> None:
    keys = Keys(ids=np.array(ids, np.int32), values=np.ones((len(ids), 32), np.uint8))
    if right:
        keys.check_values(3)
        return
    with pytest.raises(RejectedMessage, match="not ascending") as caught:
        keys.check_values(3)
    assert "agent 3" in str(caught.value) or caught.value.sender == 3
