"""Simulated seconds of societies that wait, against examples worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from agentos import RunConfig
from agentos.preflight.flops import Size, sizes_of
from agentos.rounds.clock.timeline import Timeline
from agentos.rounds.clock.timing import Timing, timing_of


def links(*pairs: tuple[int, int], latency_s: float) -> dict[tuple[int, int], float]:
    return {edge: latency_s for pair in pairs for edge in (pair, pair[::-1])}


STEPS = {agent: {"steps": 6} for agent in range(3)}


def hop(line: Timeline, messages: Iterable[tuple[int, int, int]]) -> None:
    """Let every receiver of a hop wait for the last message that it is sent."""
    waits: dict[int, float] = {}
    for sender, receiver, size in messages:
        lateness = line.lateness(sender, receiver, size)
        waits[receiver] = max(waits.get(receiver, 0.0), lateness)
    line.wait(waits)


def test_line_of_peers_waits_for_its_neighbours_and_no_further() -> None:
    edges = links((0, 1), (1, 2), latency_s=1.0)
    bandwidth = dict.fromkeys(edges, 50.0)
    line = Timeline(Timing({0: 6.0, 1: 3.0, 2: 1.0}, edges, bandwidth))
    line.train(STEPS)
    assert line.now == {0: 1.0, 1: 2.0, 2: 6.0}
    # Each message of 100 bytes takes 1 + 100 / 50 seconds.
    hop(line, [(0, 1, 100), (1, 0, 100), (1, 2, 100), (2, 1, 100)])
    assert line.now == {0: 5.0, 1: 9.0, 2: 6.0}
    told = {0: {"loss": 1.0}}
    line.add_to(told)
    assert told[0] == {"loss": 1.0, "simulated_s": 5.0, "simulated_wait_s": 4.0}
    assert told[1] == {"simulated_s": 9.0, "simulated_wait_s": 7.0}
    assert told[2] == {"simulated_s": 6.0, "simulated_wait_s": 0.0}
    line.train(STEPS)
    assert line.now == {0: 6.0, 1: 11.0, 2: 12.0}  # 0 has begun before 1 was through


def test_master_waits_for_all_and_all_for_the_master() -> None:
    edges = links((0, 1), (0, 2), latency_s=0.5)
    star = Timeline(Timing({0: 6.0, 1: 3.0, 2: 2.0}, edges))
    star.train(STEPS)
    hop(star, [(1, 0, 10), (2, 0, 10)])
    assert star.now == {0: 3.5, 1: 2.0, 2: 3.0}  # the slower slave comes at 3 + 0.5
    hop(star, [(0, 1, 10), (0, 2, 10)])
    assert star.now == {0: 3.5, 1: 4.0, 2: 4.0}


def test_overlapped_messages_travel_while_agents_train() -> None:
    """A master, slow links of 5 and 1 seconds there and back, and an overlap of 3 of 6 steps."""
    edges = links((0, 1), latency_s=5.0) | links((0, 2), latency_s=1.0)
    star = Timeline(Timing({0: 6.0, 1: 3.0, 2: 2.0}, edges))
    star.train(STEPS)  # ends: 1, 2, 3
    hop_up = {0: max(star.lateness(1, 0, 0), star.lateness(2, 0, 0))}
    assert hop_up == {0: 6.0}  # from 2 to 7, while the master stands at 1
    star.wait(hop_up, overlap_steps=3)
    down = {each: star.lateness(0, each, 0) for each in (1, 2)}
    assert down == {1: 12.0 - 2.0, 2: 8.0 - 3.0}  # it answers at 7
    star.wait(down, overlap_steps=3)
    assert star.now == {0: 1.0, 1: 2.0, 2: 3.0}
    told: dict[int, dict[str, float]] = {}
    star.add_to(told)
    assert told[1]["simulated_behind_s"] == 10.0
    assert told[1]["simulated_overlap_steps"] == 3
    other = Timeline(star.timing)
    other.resume(told)
    for line in (star, other):
        line.train(STEPS)  # half of 1, 2 and 3 seconds are hidden
        assert line.now == {0: 1 + 1 + 5.5, 1: 2 + 2 + 9.0, 2: 3 + 3 + 3.5}
        line.train(STEPS)
        assert line.now == {0: 8.5, 1: 15.0, 2: 12.5}  # nothing is under way any more
        told = {}
        line.add_to(told)
        assert "simulated_behind_s" not in told[1]


def test_overlap_of_more_steps_than_a_round_has_goes_on_in_the_next() -> None:
    pair = Timeline(Timing({0: 6.0, 1: 6.0}, links((0, 1), latency_s=3.5)))
    pair.train({agent: STEPS[agent] for agent in (0, 1)})
    pair.wait({1: pair.lateness(0, 1, 0)}, overlap_steps=9)
    for now in (2.0, 3.0 + 2.0, 6.0):  # 1.5 of 3.5 seconds are hidden
        pair.train({agent: STEPS[agent] for agent in (0, 1)})
        assert pair.now[1] == now
    assert pair.now[0] == 4.0


def test_silence_holds_nobody_up() -> None:
    pair = Timeline(Timing({0: 6.0, 1: 1.0}, links((0, 1), latency_s=0.5)))
    pair.train({0: {"steps": 6}, 1: {"steps": 6}})
    hop(pair, [(0, 1, 10)])
    assert pair.now == {0: 1.0, 1: 6.0}


def test_going_on_begins_where_the_records_end() -> None:
    pair = Timeline(Timing({0: 1.0, 1: 1.0}))
    pair.resume({0: {"simulated_s": 7.25, "loss": 1.0}, 1: {"loss": 2.0}})
    assert pair.now == {0: 7.25, 1: 0.0}


@pytest.mark.parametrize(("work", "done"), [("steps", 4), ("tokens", 130), ("flops", 3_480_000)])
def test_training_takes_its_work_over_the_speed(work, done) -> None:
    # 2 * 5000 + 4 * 1 * 10 * 50 = 12,000 operations a token; three times that for 70 + 10 with a gradient,
    # once for 50 without one.
    size = Size(parameters=5000, layers=1, width=10)
    timing = Timing({3: 8.0}, work=work, costs={3: size}, length=50)
    metrics = {"steps": 4, "tokens": 70, "decoder_tokens": 10, "embedded_tokens": 50}
    assert timing.training_s(3, metrics) == done / 8.0


def test_run_draws_what_its_clock_says(small: Callable[..., RunConfig]) -> None:
    config = small(clock={"speed": 2e9, "latency_s": 0.25, "bytes_per_s": None}, topology="ring")
    assert config.clock is not None
    timing = timing_of(
        config.clock, config.network(), 0, sizes_of(config.society().encoders), max_length=16
    )
    assert timing.speeds == dict.fromkeys(range(4), 2e9)
    assert timing.transit_s(3, 0, 10**9) == 0.25
    # A nano encoder: 2 layers of width 64, see tests of flops.
    block = 12 * 64**2 + 13 * 64
    expected = Size(2 * block + 2 * 64, layers=2, width=64).flops(16, 10)
    assert timing.training_s(0, {"tokens": 10}) == expected / 2e9
