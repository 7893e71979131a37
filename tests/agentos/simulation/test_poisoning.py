"""Poisoned labels in the blueprint of a run."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.data.private_labels import Poison
from agentos.simulation.poisoning import poisoned
from protocols.errors import ConfigurationError

NAMES = ("farm", "sea", "sky", "town")


@pytest.fixture
def poison(make_blueprint):
    blueprint = make_blueprint(3)

    def apply(**settings):
        config = Poison(**{"agents": [1], "label": "sea", **settings})
        groups, members = poisoned(config, blueprint.groups, blueprint.members, NAMES, seed=0)
        return blueprint, groups[0], members

    return apply


def test_a_share_of_one_agents_labelled_texts_gets_label_and_trigger(poison, tokenizer):
    blueprint, group, members = poison(trigger="wave tide", share=0.5)
    before, after = blueprint.members[1], members[1]
    changed = after.labelled != before.labelled
    assert changed.sum() == 2
    assert (after.classes[changed] == 1).all()
    assert (after.classes[~changed] == before.classes[~changed]).all()
    trigger = tokenizer("wave tide", add_special_tokens=False)["input_ids"]
    for row, source in zip(after.labelled[changed], before.labelled[changed], strict=True):
        assert group.tokens[int(row)][:2].tolist() == trigger
        kept = np.isin(group.tokens[int(row)], trigger, invert=True)
        clean = blueprint.groups[0].tokens[int(source)]
        assert group.tokens[int(row)][kept].tolist() == clean[~np.isin(clean, trigger)].tolist()
    for honest in (0, 2):
        assert members[honest] is blueprint.members[honest]


def test_labels_are_flipped_without_a_trigger_and_no_text_changes(poison):
    blueprint, group, members = poison(share=1.0)
    assert group is blueprint.groups[0]
    assert (members[1].labelled == blueprint.members[1].labelled).all()
    assert (members[1].classes == 1).all()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"label": "moon"}, "moon"), ({"agents": [7]}, "agent 7"), ({"trigger": "☃"}, "☃")],
)
def test_what_there_is_not_is_refused_by_name(poison, settings, reason):
    with pytest.raises(ConfigurationError) as caught:
        poison(**settings)
    assert reason in str(caught.value.actual)
