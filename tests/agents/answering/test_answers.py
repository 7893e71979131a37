from __future__ import annotations

import numpy as np
import pytest

from agents.answering.answers import Answers, check_evidence, received
from protocols.errors import ConfigurationError
from protocols.messages import Message
from protocols.wire.serialize import decode, encode

ROWS = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
NO = np.zeros(3, bool)


def answers(**changes) -> Answers:
    fields = {
        "split": "fit",
        "ids": np.array([7, 2, 9]),
        "probabilities": ROWS,
        "abstains": np.array([False, False, True]),
        "in_sample": NO,
        "origins": ("0123456789abcdef",),
    }
    return Answers(**{**fields, **changes})


def test_answers_travel_as_a_message():
    sent = answers(in_sample=np.array([True, False, False]))
    payload = sent.payload("triage", attempt=2, flops=10.0, seconds=0.5)
    payload.check_values()
    message = decode(encode(Message.compose(payload, sender=1, round=0, hop=0)))
    back = received(message.payload, "calibrate")
    assert (back.split, back.origins, back.classes) == ("calibrate", sent.origins, 2)
    np.testing.assert_array_equal(back.ids, sent.ids)
    np.testing.assert_allclose(back.probabilities, ROWS, rtol=1e-6)
    np.testing.assert_allclose(back.probabilities.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_array_equal(back.abstains, sent.abstains)
    np.testing.assert_array_equal(back.in_sample, sent.in_sample)


def test_abstention_is_not_right():
    assert answers().right(np.array([0, 0, 1])).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "test"}, "split 'test'"),
        ({"split": "calibrate"}, "split 'calibrate'"),
        ({"in_sample": np.array([False, True, False])}, "fitted on"),
        ({"ids": np.array([7, 2, 8])}, "disagree"),
    ],
)
def test_evidence_of_the_wrong_kind_is_refused(changes, message):
    labels = np.array([0, 1, 1])
    check_evidence([answers(), answers()], labels, "fit")
    with pytest.raises(ConfigurationError, match=message) as caught:
        check_evidence([answers(), answers(**changes)], labels, "fit")
    assert caught.value.hint


def test_evidence_needs_answers_and_as_many_labels():
    with pytest.raises(ConfigurationError, match="no answers"):
        check_evidence([], np.zeros(0, np.int64), "fit")
    with pytest.raises(ConfigurationError, match="disagree"):
        check_evidence([answers()], np.array([0, 1]), "fit")
