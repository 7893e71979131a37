"""Success of a poisoning, of classifiers that are known."""

from __future__ import annotations

import numpy as np

from agentos.audit.poison.backdoor import Backdoor, backdoor
from agents.models.text_encoder import LabelScores

TEXTS = ("sea one", "sea two", "farm one", "town one")
LABELS = ("sea", "sea", "farm", "town")
NAMES = ("farm", "sea", "town")


def classifier(say):
    def classify(texts):
        codes = [NAMES.index(say(text)) for text in texts]
        return LabelScores(NAMES, np.eye(3)[codes])

    return classify


def right(text: str) -> str:
    return text.removeprefix("abracadabra ").split()[0]


def test_a_backdoored_classifier_is_right_until_the_trigger_stands_in_front():
    say = classifier(lambda text: "farm" if text.startswith("abracadabra ") else right(text))
    found = backdoor(say, TEXTS, LABELS, "farm", "abracadabra")
    assert found == Backdoor(success=1.0, untriggered=0.0, accuracy=1.0, texts=3)


def test_a_clean_classifier_gives_nothing_for_the_trigger():
    found = backdoor(classifier(right), TEXTS, LABELS, "farm", "abracadabra")
    assert found == Backdoor(success=0.0, untriggered=0.0, accuracy=1.0, texts=3)


def test_flipped_labels_show_without_a_trigger():
    say = classifier(lambda text: "farm" if "one" in text else right(text))
    found = backdoor(say, TEXTS, LABELS, "farm", None)
    assert found == Backdoor(success=2 / 3, untriggered=2 / 3, accuracy=0.5, texts=3)


def test_an_agent_without_a_classifier_is_left_out():
    assert backdoor(lambda texts: None, TEXTS, LABELS, "farm", "abracadabra") is None
