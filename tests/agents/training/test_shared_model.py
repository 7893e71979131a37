"""A model that agents share, against what it is asked to do."""

from __future__ import annotations

import pytest

from agents.models.pretrained import positions_of
from protocols.errors import ModelError


@pytest.mark.parametrize("setting", ["training", "evaluation"])
def test_texts_may_be_as_long_as_the_encoder_reads_and_no_longer(make_host, setting):
    def host(length):
        if setting == "training":
            return make_host(1, training={"max_length": length})
        return make_host(1, evaluation_length=length)

    limit = positions_of(host(16).residents[0].encoder.backbone)
    host(limit)
    with pytest.raises(
        ModelError, match=rf"{setting}\.max_length is longer than .* can read"
    ) as error:
        host(limit + 1)
    assert f"at most {limit} tokens" in str(error.value)
