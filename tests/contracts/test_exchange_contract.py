"""The contract of every exchange in the table, shipped or added: see CONTRIBUTING."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args

import numpy as np
import pytest
import torch

from agentos.preflight.dry_run import walk
from agentos.rounds.hop_schedule import scheduled_hops
from agents.exchange import EXCHANGES, Exchange, Society
from agents.exchange.accountant import guarantees
from protocols.ledger import Ledger
from protocols.messages import Message, Metrics
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring
from protocols.wire.serialize import decode, encode

TOPOLOGIES = {"ring": Ring(), "master_slave": MasterSlave(master=3), "layered": Layered()}
SETTINGS: dict[str, dict[str, Any]] = {
    "pseudo_labels": {"classes": 4, "confidence": 0.0},
    "hybrid": {"strategies": ["fedavg", "anchor_contrast", "anchor_similarity"]},
    "secure_pseudo_labels": {"classes": 4, "confidence": 0.0},
    "fedmd": {"classes": 4},
    "dsfl": {"classes": 4},
    "ranked_neighbours": {"length": 4},
    "prototypes": {"centroids": 4, "sample": 8},
    "fedproto": {"classes": 4},
    "cross_negatives": {"shares_private_embeddings": True, "staleness": 2},
}
"""Settings that an exchange needs to work with twelve anchors; the defaults where it is not named."""

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "cross_negatives, differentiable": (
        "cross_negatives",
        {"shares_private_embeddings": True, "mode": "differentiable"},
    ),
    **{
        f"{kind}, own labels": (kind, {**SETTINGS[kind], "labels": "own"})
        for kind in ("pseudo_labels", "secure_pseudo_labels", "fedmd", "dsfl", "fedproto")
    },
    "codistillation, own labels": (
        "codistillation",
        {"over": "classes", "classes": 4, "labels": "own"},
    ),
}
"""Other settings of a kind that make another protocol of it."""


@pytest.fixture(params=[*EXCHANGES, *VARIANTS])
def exchange(request) -> Exchange:
    own = request.param, SETTINGS.get(request.param, {})
    kind, settings = VARIANTS.get(request.param, own)
    return EXCHANGES[kind](**settings)


@pytest.fixture(params=["ring", "layered"])
def topology(request):
    """Peers, and a tree of three levels; what agents do under a master is what its two upper levels do."""
    return TOPOLOGIES[request.param]


def suits(exchange: Exchange, family: str) -> bool:
    """Whether an exchange works in a topology: some need a master."""
    from agents.config import EncoderConfig

    network = TOPOLOGIES[family].build(7, seed=0)
    society = Society((EncoderConfig(),) * 7, anchors=256, batch_size=64, network=network)
    try:
        exchange.check(society)
    except ValueError:
        return False
    return True


def suited(exchange: Exchange, family: str) -> Any:
    """Return a topology in which an exchange works; skip the test where it does not."""
    if not suits(exchange, family):
        pytest.skip(f"{exchange.kind} refuses {family}")
    return TOPOLOGIES[family]


def home(exchange: Exchange) -> Any:
    """Return a ring, or the master that an exchange needs."""
    return TOPOLOGIES["ring" if suits(exchange, "ring") else "master_slave"]


@pytest.fixture
def begin(make_society, exchange, topology):
    """Start the same society, as often as it is called."""
    suited(exchange, next(family for family, each in TOPOLOGIES.items() if each == topology))
    return lambda: make_society(exchange, topology)


@pytest.fixture
def begin_at_home(make_society, exchange):
    """The same in one topology, for what does not depend on who speaks to whom."""
    return lambda: make_society(exchange, home(exchange))


def snapshot(value: Any) -> Any:
    """Copy what an agent is, or anything within it, into plain values that compare."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.detach().numpy().tobytes()
    if isinstance(value, dict):
        return {key: snapshot(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [snapshot(each) for each in value]
    return snapshot(vars(value)) if is_dataclass(value) else value


def has_loss(exchange: Exchange) -> bool:
    """Whether a training step learns something from the exchange: of anchors, or of private text."""
    return any(part.anchor_fraction > 0 or part.learns_from_private for part in exchange.parts)


def states(society) -> dict[int, Any]:
    return {id: snapshot(agent.state) for id, agent in society.host.agents.items()}


def letters(society, index: int) -> tuple[Any, int, list[np.ndarray]]:
    """Take round 1 up to a hop; return it, an agent that receives in it, and what it is sent."""
    planned = society.scheduled_hops(1)
    scheduled = planned[index]
    for earlier in planned[: scheduled.number]:
        society.take(earlier)
    receiver = scheduled.hop.edges[0][1]
    outbox = society.compose(scheduled)
    return scheduled, receiver, society.addressed(outbox, receiver)


def changed(message: Message, payload: dict[str, Any] | None = None, **envelope: Any) -> np.ndarray:
    """Encode a message with other fields, as a faulty or hostile sender might."""
    fields = {name: getattr(message.payload, name) for name in type(message.payload).model_fields}
    kept = message.envelope
    return encode(
        Message.compose(
            type(message.payload)(**{**fields, **(payload or {})}),
            **{
                "sender": kept.sender,
                "round": kept.round,
                "hop": kept.hop,
                **envelope,
            },
        )
    )


def with_nan(message: Message) -> np.ndarray:
    """Encode a message with one number that is none."""
    arrays = {name: getattr(message.payload, name) for name in message.payload.array_fields}
    name = next((name for name, array in arrays.items() if array.dtype == np.float32), None)
    if name is None:
        return changed(message, {"ids": np.full_like(arrays["ids"], -1)})
    array = getattr(message.payload, name).copy()
    array.flat[array.size // 2] = np.nan
    return changed(message, {name: array})


def test_kind_is_the_key_in_the_table():
    for kind, cls in EXCHANGES.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__


def test_state_is_a_dataclass_whose_fields_have_defaults_and_survives_a_file(
    begin_at_home, tmp_path
):
    society = begin_at_home()
    society.run(1)
    before = states(society)
    society.host.restore(tmp_path, society.host.snapshot(tmp_path))
    assert states(society) == before
    for agent in society.host.agents.values():
        for part, state in zip(society.exchange.parts, agent.state.exchange, strict=True):
            assert type(state) is part.state_type
            assert {each.name for each in fields(state)} == set(vars(state))
            part.state_type()


def test_specification_survives_json(exchange):
    assert type(exchange).model_validate_json(exchange.model_dump_json()) == exchange


def test_like_encoders_and_enough_anchors_are_accepted(exchange):
    from agents.config import EncoderConfig

    exchange.check(Society(encoders=(EncoderConfig(),) * 3, anchors=256, batch_size=64))


def test_arrival_order_changes_no_bit(begin):
    results = []
    for reverse in (False, True):
        society = begin()
        society.run(1, reverse)
        society.train(1)
        society.run(2, reverse)
        results.append(states(society))
    assert results[0] == results[1]


def test_exchange_changes_agents_only_as_it_says(begin, exchange):
    society = begin()
    before = {id: agent.parameters.clone() for id, agent in society.host.agents.items()}
    society.run(1)
    for id, agent in society.host.agents.items():
        same = torch.equal(agent.parameters, before[id])
        assert same != any(part.changes_parameters for part in exchange.parts)
        assert torch.isfinite(agent.parameters).all()


def test_empty_inbox_is_legal_and_changes_nothing(begin):
    society = begin()
    for scheduled in society.scheduled_hops(1):
        society.compose(scheduled)
        before = states(society)  # what was said may be remembered: it costs a pass to work it out
        for agent in society.host.agents:
            assert society.deliver(scheduled, agent, []) == []
        assert states(society) == before
    learnt = ["exchange_loss" in metrics for metrics in society.train(1).values()]
    assert not any(learnt)


def test_agents_go_on_where_half_of_the_messages_are_lost(begin):
    society = begin()
    for round in (1, 2):
        for scheduled in society.scheduled_hops(round):
            outbox = society.compose(scheduled)
            pairs = zip(outbox.recipients, outbox.handle, strict=True)
            for number, (recipients, buffer) in enumerate(pairs):
                heard = recipients[number % 2 :: 2]
                assert all(society.deliver(scheduled, each, [buffer]) == [] for each in heard)
    assert all(np.isfinite(metrics["loss"]) for metrics in society.train(2).values())


def test_messages_go_to_the_addressed_neighbours_and_to_no_others(begin):
    society = begin()
    for scheduled in society.scheduled_hops(1):
        outbox = society.compose(scheduled)
        for (envelope, recipients, size, _), buffer in zip(
            outbox.sent(), outbox.handle, strict=True
        ):
            assert set(recipients) <= society.network.neighbours(envelope.sender)
            assert (envelope.round, envelope.hop) == (1, scheduled.number)
            assert size == buffer.nbytes
            assert decode(buffer).envelope == envelope
        # All at once, or each by itself, but to no other agent and to none twice.
        for sender in {envelope.sender for envelope in outbox.envelopes}:
            own = [to for envelope, to, *_ in outbox.sent() if envelope.sender == sender]
            assert tuple(sorted(sum(own, ()))) == scheduled.hop.recipients(sender)


def in_codec(exchange: Exchange, codec: Any) -> Exchange:
    """Return the same strategy in another codec; of a hybrid, every part."""
    values = exchange.model_dump(serialize_as_any=True)
    if len(exchange.parts) > 1:
        values["strategies"] = [in_codec(part, codec) for part in exchange.parts]
    else:
        values["codec"] = codec
    return type(exchange).model_validate(values)


# A codec does not look at the topology.
CODED = [(family, "fp32") for family in TOPOLOGIES] + [
    ("layered", codec) for codec in ("int8", "pca", {"kind": "top_k", "share": 0.1})
]


@pytest.mark.parametrize(("family", "codec"), CODED, ids=str)
def test_bytes_on_the_wire_are_those_announced(make_society, exchange, family, codec):
    topology = suited(exchange, family)
    coded = in_codec(exchange, codec)
    society = make_society(coded, topology)
    before = states(society)
    foretold = walk(coded, society.network, society.host.agents, rounds=2)
    assert foretold.problems == []
    assert states(society) == before
    sent = Ledger()
    for scheduled in scheduled_hops(coded, society.network, 1, rounds=2):
        outbox = society.compose(scheduled)
        for envelope, recipients, size, fp32 in outbox.sent():
            for receiver in recipients:
                sent.record(
                    1, scheduled.number, envelope.sender, receiver, envelope.kind, size, fp32
                )
        for agent in sorted({receiver for _, receiver in scheduled.hop.edges}):
            assert society.deliver(scheduled, agent, society.addressed(outbox, agent)) == []
    rows = foretold.ledger.rows()
    first = [number for number, round in enumerate(rows["round"]) if round == 1]
    assert sent.rows() == {name: [column[i] for i in first] for name, column in rows.items()}


def test_messages_stay_as_they_were_sent_through_merging_and_training(begin_at_home):
    society = begin_at_home()
    kept = []
    for scheduled in society.scheduled_hops(1):
        outbox = society.compose(scheduled)
        kept += [(buffer, buffer.tobytes()) for buffer in outbox.handle]
        for agent in {receiver for _, receiver in scheduled.hop.edges}:
            society.deliver(scheduled, agent, society.addressed(outbox, agent))
    society.train(1)
    society.run(2)
    assert all(buffer.tobytes() == before for buffer, before in kept)


class LateStore:
    """Copies messages once everybody has spoken, as the contract of a store allows."""

    def put(self, packets: Any) -> Any:
        came = [(packet, packet.joined().tobytes()) for packet in packets]
        assert all(packet.joined().tobytes() == before for packet, before in came)
        return [packet.joined() for packet, _ in came]

    def get(self, handles: Any) -> Any:
        return handles


def test_what_an_agent_says_stays_as_it_is_while_others_speak(begin_at_home, monkeypatch):
    society = begin_at_home()
    monkeypatch.setattr(society.host, "store", LateStore())
    society.run(1)


def test_agents_keep_nothing_that_lies_in_a_message(begin_at_home):
    society = begin_at_home()
    scheduled, receiver, buffers = letters(society, 0)
    own = [buffer.copy() for buffer in buffers]
    assert society.deliver(scheduled, receiver, own) == []
    before = snapshot(society.host.agents[receiver].state)
    for buffer in own:
        buffer[:] = 255
    assert snapshot(society.host.agents[receiver].state) == before


def hostile(message: Message, stranger: int) -> dict[str, np.ndarray]:
    """Make one bad message of each kind, by the reason for which it is to be rejected."""
    kept, payload = message.envelope, message.payload
    arrays = {name: getattr(payload, name) for name in payload.array_fields}
    # Nothing may be empty: an axis of one place keeps it.
    smaller = {
        key: array[tuple(slice(min(1, size - 1), None) for size in array.shape)]
        for key, array in arrays.items()
    }
    other_kind = Message.compose(
        Metrics(values={"loss": 0.0}),
        sender=kept.sender,
        round=kept.round,
        hop=kept.hop,
    )
    return {
        "neighbour": changed(message, sender=stranger),
        "round": changed(message, round=2),
        "hop": changed(message, hop=kept.hop + 1),
        "shape": changed(message, smaller),
        "not_finite": with_nan(message),
        "kind": encode(other_kind),
        "malformed": encode(message)[:-4],
    }


def test_bad_messages_are_rejected_by_name_and_leave_the_agent_as_it_was(begin):
    society = begin()
    scheduled, receiver, buffers = letters(society, -1)  # downwards: every slave knows its master
    if not buffers:
        return
    stranger = next(id for id in range(7) if id not in {receiver, *scheduled.hop.senders(receiver)})
    bad = hostile(decode(buffers[0]), stranger)
    before = states(society)
    for reason, buffer in bad.items():
        assert society.deliver(scheduled, receiver, [buffer]) == [reason]
    assert society.deliver(scheduled, receiver, list(bad.values())) == list(bad)
    assert states(society) == before


def test_good_messages_count_beside_bad_and_repeated_ones(begin_at_home):
    society = begin_at_home()
    scheduled, receiver, buffers = letters(society, 0)
    if not buffers:
        return
    assert society.deliver(scheduled, receiver, buffers[:1]) == []
    expected = states(society)
    society = begin_at_home()
    letters(society, 0)  # speaking may be remembered
    bad = with_nan(decode(buffers[-1]))
    rejected = society.deliver(scheduled, receiver, [bad, buffers[0], buffers[0]])
    assert rejected in (["not_finite", "duplicate"], ["not_keys", "duplicate"])
    assert states(society) == expected


def test_loss_is_finite_and_reaches_the_encoder(begin_at_home, exchange):
    society = begin_at_home()
    society.run(1)
    learnt = {id: metrics.get("exchange_loss") for id, metrics in society.train(2).items()}
    if not has_loss(exchange):
        assert set(learnt.values()) == {None}
        return
    assert all(value is not None and np.isfinite(value) and value > 0 for value in learnt.values())
    heard = states(society)
    deaf = begin_at_home()
    deaf.train(2)
    for id in learnt:
        assert states(deaf)[id]["parameters"] != heard[id]["parameters"]


def test_unlike_encoders_exchange_or_are_refused_with_the_reason(exchange, make_society):
    from agents.config import EncoderConfig

    encoders = tuple(EncoderConfig(preset=preset) for preset in ("nano", "tiny"))
    unlike = Society(encoders, anchors=12, batch_size=12)
    if any(part.changes_parameters for part in exchange.parts):
        with pytest.raises(ValueError, match="nano, tiny"):
            exchange.check(unlike)
        return
    exchange.check(unlike)
    topology = TOPOLOGIES["layered"] if suits(exchange, "layered") else home(exchange)
    society = make_society(exchange, topology, widths=("nano", "tiny"))
    society.run(1)
    for metrics in society.train(1).values():
        assert np.isfinite(metrics["loss"])
        assert ("exchange_loss" in metrics) == has_loss(exchange)
    society.run(2)


def messages_of(society) -> list[bytes]:
    """Return what the first hop of round 1 sends, as bytes; all hops, where passes or parts are several."""
    hops, sent = society.scheduled_hops(1), []
    for scheduled in hops[:1] if sum(part.passes for part in society.exchange.parts) == 1 else hops:
        outbox = society.compose(scheduled)
        sent += [
            b"".join(np.asarray(value).tobytes() for _, value in sorted(decoded_arrays(buffer)))
            for buffer in outbox.handle
        ]
        for agent in sorted({receiver for _, receiver in scheduled.hop.edges}):
            society.deliver(scheduled, agent, society.addressed(outbox, agent))
    return sent


def decoded_arrays(buffer: np.ndarray) -> list[tuple[str, np.ndarray]]:
    payload = decode(buffer).payload
    return [(name, getattr(payload, name)) for name in payload.array_fields]


UNREAD = "[MASK]"
"""A token that no text holds."""


def with_other(members, changed_part):
    """Give agents as many other texts, or other texts of the classes that they know."""
    if changed_part == "private text":
        return tuple(replace(member, rows=(member.rows + 40) % 148 + 12) for member in members)
    if changed_part == "own labels":
        return tuple(replace(member, labelled=(member.labelled + 16) % 160) for member in members)
    return members


def with_other_anchors(blueprint):
    """Return the groups of a blueprint whose anchors are other texts."""
    return tuple(
        replace(group, tokens=type(group.tokens)([*group.tokens[100:112], *group.tokens[12:]]))
        for group in blueprint.groups
    )


def move_an_unread_embedding(society, tokenizer):
    """Change the parameters that no text depends on."""
    row = tokenizer.convert_tokens_to_ids(UNREAD)
    for agent in society.host.agents.values():
        slots = agent.resident.binding.layout.slots
        (slot,) = [each for each in slots if each.name.endswith("word_embeddings.weight")]
        slot.view(agent.parameters)[row] += 1.0


def test_messages_depend_directly_on_nothing_but_what_is_declared(
    make_society, make_blueprint, tokenizer, exchange
):
    assert exchange.shows is not None, "an exchange of the table says what it shows"
    usual = make_blueprint(7)
    changed = {
        "anchors": {"groups": with_other_anchors(usual)},
        "private text": {"members": with_other(usual.members, "private text")},
        "own labels": {"members": with_other(usual.members, "own labels")},
    }
    topology = home(exchange)
    sent = {
        part: messages_of(make_society(exchange, topology, named=part, **fields))
        for part, fields in changed.items()
    }
    society = make_society(exchange, topology)
    move_an_unread_embedding(society, tokenizer)
    sent["parameters"] = messages_of(society)
    before = messages_of(make_society(exchange, topology))
    assert {part for part, messages in sent.items() if messages != before} == set(exchange.shows)


def protected(exchange: Exchange, **privacy: Any) -> Exchange:
    """Return the same strategy with its messages clipped and noised; of a hybrid, every part."""
    values = exchange.model_dump(serialize_as_any=True)
    if len(exchange.parts) > 1:
        values["strategies"] = [protected(part, **privacy) for part in exchange.parts]
    else:
        values["privacy"] = privacy
    return type(exchange).model_validate(values)


def test_protected_messages_are_accepted_learnt_and_the_same_every_time(make_society, exchange):
    if any(part.unprotectable for part in exchange.parts):
        with pytest.raises(ValueError, match=r"exchange\.privacy"):
            protected(exchange, noise=0.5)
        return
    noised = protected(exchange, clip=1.0, noise=0.5)
    results = []
    for reverse in (False, True):
        society, sent = make_society(noised, TOPOLOGIES["layered"]), Ledger()
        for scheduled in society.scheduled_hops(1):
            outbox = society.compose(scheduled, reverse)
            senders = [envelope.sender for envelope, *_ in outbox.sent()]
            own = exchange.parts[scheduled.part].addresses_each
            assert own or len(senders) == len(set(senders))
            for envelope, recipients, size, fp32 in outbox.sent():
                place = 1, scheduled.number, envelope.sender, recipients, envelope.kind
                sent.record_message(*place, size, fp32)
            for agent in sorted({receiver for _, receiver in scheduled.hop.edges}):
                assert society.deliver(scheduled, agent, society.addressed(outbox, agent)) == []
        assert all(np.isfinite(metrics["loss"]) for metrics in society.train(2).values())
        results.append(states(society))
        stated = guarantees(noised, sent, 7)
        senders = set(sent.rows()["sender"])
        assert {each.agent for each in stated if each.epsilon > 0} == senders
    assert results[0] == results[1]
    quiet, plain = (
        messages_of(make_society(each, TOPOLOGIES["layered"]))
        for each in (protected(exchange, clip=1.0, noise=1e-9), exchange)
    )
    loud = messages_of(make_society(noised, TOPOLOGIES["layered"]))
    assert plain != loud != quiet or not plain


def test_noise_far_beyond_the_clip_drowns_private_text(make_society, make_blueprint, exchange):
    """A message of other text differs by less than rounding once the noise is a million times the clip."""
    if any(part.unprotectable for part in exchange.parts):
        return
    drowned = protected(exchange, clip=1e-3, noise=1e6)
    usual, sent = make_blueprint(7).members, {}
    for part in ("", "private text", "own labels"):
        changed = {"members": with_other(usual, part)} if part else {}
        society = make_society(drowned, TOPOLOGIES["ring"], named=part, **changed)
        outbox = society.compose(society.scheduled_hops(1)[0])
        sent[part] = [dict(decoded_arrays(buffer)) for buffer in outbox.handle]
    own = sent.pop("")
    for part, other in sent.items():
        for mine, theirs in zip(own, other, strict=True):
            for name, values in mine.items():
                assert np.allclose(values, theirs[name], rtol=1e-2, atol=1e-2), part
