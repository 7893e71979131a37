"""What of the messages under way a receiver merges."""

from __future__ import annotations

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


def test_of_what_comes_before_a_slow_receiver_looks_the_latest_alone_is_held() -> None:
    kept, box = mailbox(), mailbox()
    for round in range(1, 7):
        for sender in (1, 2):
            kept.post(message(sender, round, arrival_s=float(round)))
            box.post(message(sender, round, arrival_s=float(round)), opens_s=4.5)
    held = [each for letters in box._held[0, 0].values() for each in letters]
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
