"""The in-flight messages that a receiver merges."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.rounds.mailbox import InFlight, Mailbox, Opened
from agents.exchange.staleness import Staleness


def mailbox(bound: int = 9) -> Mailbox:
    return Mailbox(Staleness(bound, discount=0.5, rounds=99))


def message(sender: int, round: int, arrival_s: float, receiver: int = 0, hop: int = 0) -> InFlight:
    return InFlight(sender, receiver, hop, round, arrival_s)


def rounds(found: Opened) -> dict[int, int]:
    return {each.sender: each.round for each in found.messages}


def test_what_is_under_way_waits_until_it_has_arrived() -> None:
    box = mailbox()
    box.post(message(1, 1, arrival_s=2.0))
    assert box.open(0, 0, round=1, now_s=1.9) == Opened(())
    assert rounds(box.open(0, 0, round=1, now_s=2.0)) == {1: 1}
    assert box.open(0, 0, round=2, now_s=9.0) == Opened(())  # once alone


def test_latest_of_each_sender_counts_in_the_order_of_senders() -> None:
    box = mailbox()
    for sender, round, arrival_s in ((5, 2, 3.0), (2, 1, 1.0), (5, 1, 1.0)):
        box.post(message(sender, round, arrival_s))
    found = box.open(0, 0, round=4, now_s=5.0)
    assert [(each.sender, each.round) for each in found.messages] == [(2, 1), (5, 2)]
    assert (found.stale, found.superseded) == (0, 1)


def test_message_that_was_overtaken_is_not_merged_after_its_successor() -> None:
    box = mailbox()
    box.post(message(1, 1, arrival_s=8.0))  # a large one
    box.post(message(1, 2, arrival_s=3.0))
    assert rounds(box.open(0, 0, round=2, now_s=4.0)) == {1: 2}
    assert box.open(0, 0, round=3, now_s=9.0) == Opened((), superseded=1)


def test_staleness_bound_is_honoured_to_the_round() -> None:
    for behind, taken in ((2, {1: 3}), (3, {})):
        box = mailbox(bound=2)
        box.post(message(1, 3, arrival_s=0.0))
        found = box.open(0, 0, round=3 + behind, now_s=1.0)
        assert rounds(found) == taken
        assert found.stale == (not taken)


def test_sender_that_is_ahead_is_not_stale() -> None:
    box = mailbox(bound=0)
    box.post(message(1, 50, arrival_s=0.0))
    assert rounds(box.open(0, 0, round=2, now_s=1.0)) == {1: 50}


def test_receivers_and_hops_have_mailboxes_of_their_own() -> None:
    box = mailbox()
    for receiver, hop in ((0, 0), (0, 1), (3, 0)):
        box.post(message(1, 10 * receiver + hop + 1, 0.0, receiver, hop))
    assert rounds(box.open(3, 0, round=1, now_s=1.0)) == {1: 31}
    assert rounds(box.open(0, 1, round=1, now_s=1.0)) == {1: 2}


def test_fragments_have_compartments_of_their_own() -> None:
    box = mailbox()
    for round, fragment in ((1, 0), (2, 1), (3, 0)):
        box.post(InFlight(1, 0, 0, round, arrival_s=0.0, fragment=fragment), opens_s=1.0)
    found = box.open(0, 0, round=3, now_s=1.0)
    assert (rounds(found), found.superseded) == ({1: 3}, 1)
    # What was sent about the other fragment before is not superseded by it.
    assert box.open(0, 0, round=3, now_s=1.0, fragment=1) == Opened(
        (InFlight(1, 0, 0, 2, 0.0, fragment=1),)
    )


def test_of_what_comes_before_a_slow_receiver_looks_the_latest_alone_is_held() -> None:
    kept, box = mailbox(), mailbox()
    for round in range(1, 7):
        for sender in (1, 2):
            kept.post(message(sender, round, arrival_s=float(round)))
            box.post(message(sender, round, arrival_s=float(round)), opens_s=4.5)
    held = [each for letters in box._held[0, 0, 0].values() for each in letters]
    assert sorted((each.sender, each.round) for each in held) == [
        (sender, round) for sender in (1, 2) for round in (4, 5, 6)
    ]
    for now_s in (4.5, 9.0):
        found, expected = (each.open(0, 0, round=1, now_s=now_s) for each in (box, kept))
        assert rounds(found) == rounds(expected)
        assert found.superseded == expected.superseded


def test_nothing_is_held_for_who_looks_no_more() -> None:
    box = mailbox()
    box.post(message(1, 1, arrival_s=0.0))
    box.post(message(1, 1, arrival_s=0.0, receiver=3))
    box.close(0)
    assert box.open(0, 0, round=1, now_s=1.0) == Opened(())
    assert rounds(box.open(3, 0, round=1, now_s=1.0)) == {1: 1}


class SlowQuorum:
    """The rule of quorum and grace, worked out from all messages that were ever sent.

    Args:
        messages: of one receiver and hop.
    """

    def __init__(self, messages: list[InFlight], quorum: int, grace_s: float, bound: int) -> None:
        self.messages, self.quorum, self.grace_s, self.bound = messages, quorum, grace_s, bound
        self.merged: dict[int, int] = {}
        self.found_s: float | None = None

    def open(self, round: int, now_s: float, senders: set[int]) -> dict[int, int]:
        latest: dict[int, int] = {}
        for each in self.messages:
            if each.arrival_s <= now_s:
                latest[each.sender] = max(latest.get(each.sender, 0), each.round)
        new = {
            sender: sent
            for sender, sent in latest.items()
            if sent > self.merged.get(sender, 0) and round - sent <= self.bound
        }
        if not new or len(new) < min(self.quorum, len(senders)):
            self.found_s = None
            return {}
        if self.found_s is None:
            self.found_s = now_s
        if len(new) < len(senders) and now_s - self.found_s < self.grace_s:
            return {}
        self.found_s = None
        self.merged |= new
        return new


@pytest.mark.parametrize("quorum", [1, 2, 3, 9])
@pytest.mark.parametrize("grace_s", [0.0, 1.5])
@pytest.mark.parametrize("seed", range(5))
def test_quorum_and_grace_decide_when_messages_are_taken(
    quorum: int, grace_s: float, seed: int
) -> None:
    rng, senders = np.random.default_rng(seed), {1, 2, 3}
    sent = [
        message(sender, round, arrival_s=float(round * pace + rng.integers(0, 3) / 2))
        for sender, pace in zip(sorted(senders), (1, 2, 5), strict=True)
        for round in range(1, 20 // pace)
    ]
    opens = [(round, 1.25 * round) for round in range(1, 16)]
    box = Mailbox(Staleness(10, discount=0.5, rounds=99), quorum, grace_s)
    slow, waiting, taken = SlowQuorum(sent, quorum, grace_s, 10), sorted(sent, key=when), 0
    for round, now_s in opens:
        while waiting and waiting[0].arrival_s <= now_s:
            box.post(waiting.pop(0), opens_s=now_s)
        found = rounds(box.open(0, 0, round, now_s, awaited=senders))
        assert found == slow.open(round, now_s, senders), round
        taken += bool(found)
    assert 0 < taken < len(opens)


def when(message: InFlight) -> float:
    return message.arrival_s


def test_senders_that_send_no_more_are_not_waited_for() -> None:
    box = Mailbox(Staleness(9, discount=0.5, rounds=99), quorum=2)
    box.post(message(1, 1, arrival_s=0.0))
    assert box.open(0, 0, round=1, now_s=1.0, awaited={1, 2}) == Opened(())
    assert rounds(box.open(0, 0, round=2, now_s=2.0, awaited={1})) == {1: 1}


def test_stale_messages_of_senders_that_send_no_more_do_not_hold_a_quorum_up() -> None:
    box = Mailbox(Staleness(2, discount=0.5, rounds=99), quorum=2)
    box.post(message(1, 1, arrival_s=0.0))
    box.post(message(2, 9, arrival_s=1.0))
    assert box.open(0, 0, round=9, now_s=0.5, awaited={2}) == Opened(())
    found = box.open(0, 0, round=9, now_s=1.0, awaited={2})
    assert (rounds(found), found.stale) == ({2: 9}, 1)


def test_quorum_that_was_found_is_remembered_elsewhere() -> None:
    box = Mailbox(Staleness(9, discount=0.5, rounds=99), quorum=1, grace_s=3.0)
    box.post(message(1, 1, arrival_s=0.0))
    assert box.open(0, 0, round=1, now_s=1.0, awaited={1, 2}) == Opened(())
    other = Mailbox(Staleness(9, discount=0.5, rounds=99), quorum=1, grace_s=3.0)
    other.restore(box.messages, box.state)
    for each in (box, other):
        assert each.open(0, 0, round=2, now_s=3.9, awaited={1, 2}) == Opened(())
        assert rounds(each.open(0, 0, round=3, now_s=4.0, awaited={1, 2})) == {1: 1}
