"""Every selection chooses models of distinct origins, repeatably, in any order of the models."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.tasks.selection import SELECTIONS, Candidates, regret
from protocols.errors import ConfigurationError
from protocols.seeding import generator

NOISE = (4.0, 1.0, 8.0, 2.0, 30.0, 1.0)
"""Noise of each model's embeddings; the last is a copy of the second."""
ORIGINS = ("a", "b", "c", "d", "e", "b")


def candidates(seed: int = 0, labels: bool = True) -> Candidates:
    """Six models that see the same classes, each through its own noise and in its own directions."""
    codes = np.arange(120) % 3
    means = generator(seed, "means").normal(size=(3, 12))
    rows = []
    for model, noise in enumerate(NOISE):
        rng = generator(seed, "model", ORIGINS[model])
        turned = (means[codes] + noise * rng.normal(size=(120, 12))) @ rng.normal(size=(12, 10))
        rows.append(turned)
    sizes = (10, 20, 60, 40, 50, 20)
    return Candidates(ORIGINS, sizes, tuple(rows), codes if labels else None)


@pytest.mark.parametrize("kind", SELECTIONS)
def test_choice_has_the_fittest_of_distinct_origins_in_order(kind: str) -> None:
    choice = SELECTIONS[kind].model_validate({"top": 3}).choose(candidates())
    origins = [ORIGINS[model] for model in choice.models]
    assert len(origins) == len(set(origins)) == 3
    assert len(choice.fitness) == 6
    fitness = [choice.fitness[model] for model in choice.models]
    assert fitness == sorted(fitness, reverse=True)
    left = [value for model, value in enumerate(choice.fitness) if ORIGINS[model] not in origins]
    assert all(value is None or value <= fitness[-1] for value in left)


@pytest.mark.parametrize("kind", SELECTIONS)
def test_choice_is_repeatable_and_ends_with_the_library(kind: str) -> None:
    selection = SELECTIONS[kind].model_validate({"top": 20})
    assert selection.choose(candidates(), 5) == selection.choose(candidates(), 5)
    assert len(selection.choose(candidates(), 5).models) == 5  # origins


@pytest.mark.parametrize("kind", sorted(SELECTIONS.keys() - {"random"}))
def test_choice_does_not_depend_on_the_order_of_models(kind: str) -> None:
    """Routing by the place of an agent would show here."""
    known = candidates()
    order = np.array([3, 5, 0, 4, 2, 1])
    shuffled = Candidates(
        tuple(ORIGINS[i] for i in order),
        tuple(known.parameters[i] for i in order),
        tuple(known.embeddings[i] for i in order),
        known.labels,
    )
    selection = SELECTIONS[kind].model_validate({"top": 2})
    first = [ORIGINS[model] for model in selection.choose(known).models]
    assert [shuffled.origins[model] for model in selection.choose(shuffled).models] == first


@pytest.mark.parametrize("kind", SELECTIONS)
def test_choice_does_not_depend_on_the_names_of_origins_or_classes(kind: str) -> None:
    known, renamed = candidates(), dict(zip("abcde", "edcba", strict=True))
    assert known.labels is not None
    other = Candidates(
        tuple(renamed[origin] for origin in ORIGINS),
        known.parameters,
        known.embeddings,
        np.array([2, 0, 1])[known.labels],
    )
    selection = SELECTIONS[kind].model_validate({"top": 2})
    assert selection.choose(other, 1).models == selection.choose(known, 1).models


def test_measured_choice_finds_good_models_and_the_controls_do_not() -> None:
    """Quality falls with the noise: a model drawn from the five origins has a regret of 8 in the mean."""
    quality = [-noise for noise in NOISE]

    def mean_regret(of: str) -> float:
        selection = SELECTIONS[of].model_validate({"top": 1})
        choices = [selection.choose(candidates(seed), seed) for seed in range(12)]
        return float(np.mean([regret(quality, choice.models) for choice in choices]))

    assert mean_regret("linear") < 1.5
    assert mean_regret("random") > 3.0
    assert mean_regret("largest") > 3.0


@pytest.mark.parametrize("kind", SELECTIONS)
def test_labels_and_embeddings_are_asked_for_exactly_where_needed(kind: str) -> None:
    selection = SELECTIONS[kind]()
    cases = {
        "labels": (candidates(labels=False), selection.needs_labels),
        "embeddings": (
            Candidates(ORIGINS, (1,) * 6, labels=np.zeros(3, dtype=int)),
            selection.needs_embeddings,
        ),
    }
    for what, (known, needed) in cases.items():
        if needed:
            with pytest.raises(ConfigurationError, match=f"needs {what}") as caught:
                selection.choose(known)
            assert caught.value.hint
        else:
            assert selection.choose(known).models


def test_prefilter_leaves_the_least_evident_models_unfitted() -> None:
    choice = SELECTIONS["linear"].model_validate({"top": 1, "prefilter": 2}).choose(candidates())
    fitted = {model for model, value in enumerate(choice.fitness) if value is not None}
    assert fitted == {1, 3}
    assert choice.models == (1,)


@pytest.mark.parametrize(
    "fields",
    [((), ()), (("a",), (1, 2)), (("a", "b"), (1, 2), (np.zeros((3, 2)), np.zeros((4, 2))))],
)
def test_candidates_that_do_not_fit_each_other_are_refused(fields) -> None:
    with pytest.raises(ConfigurationError, match="do not fit") as caught:
        Candidates(*fields)
    assert caught.value.hint


@pytest.mark.parametrize("kind", SELECTIONS)
def test_selection_survives_its_configuration(kind: str) -> None:
    selection = SELECTIONS[kind].model_validate({"top": 2})
    assert type(selection).model_validate_json(selection.model_dump_json()) == selection
    assert selection.kind == kind
