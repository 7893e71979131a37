from __future__ import annotations

import numpy as np
import pytest

from agentos.learning.gate import ExamplePool
from protocols.errors import ConfigurationError


def pool_of(fresh: bool = True) -> ExamplePool:
    pool = ExamplePool(seed=3, fresh=fresh)
    pool.add(0, range(100))
    pool.add(1, range(100, 140))
    return pool


def test_fresh_examples_are_used_once_and_counted() -> None:
    pool = pool_of()
    drawn = np.concatenate([pool.draw(30) for _ in range(6)])
    assert sorted(drawn.tolist()) == list(range(140))
    assert pool.left() == 0
    assert pool.used == drawn.tolist()
    assert len(pool.draw(30)) == 0


def test_draws_take_from_every_episode_in_proportion() -> None:
    drawn = pool_of().draw(70)
    assert int((drawn < 100).sum()) == 50
    assert len(drawn) == 70


def test_an_episode_with_few_examples_is_asked_too() -> None:
    pool = ExamplePool(seed=0)
    pool.add(0, range(1000))
    pool.add(1, [1000])
    assert 1000 in pool.draw(10)


def test_reused_examples_come_again_but_not_within_a_decision() -> None:
    pool = pool_of(fresh=False)
    first = pool.draw(70)
    second = pool.draw(70, first.tolist())
    assert not set(first) & set(second)
    np.testing.assert_array_equal(pool.draw(70), first)
    assert pool.left() == 140
    assert pool.used == []


def test_draws_depend_on_the_seed() -> None:
    other = ExamplePool(seed=4)
    other.add(0, range(100))
    assert other.draw(20).tolist() != pool_of().draw(28)[:20].tolist()


def test_known_example_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="already"):
        pool_of().add(2, [139, 140])
    with pytest.raises(ConfigurationError, match="already"):
        pool_of().add(1, [200])
