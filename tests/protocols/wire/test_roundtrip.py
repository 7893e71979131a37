from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols import messages
from protocols.messages import PAYLOADS, Gradient, Message, Payload
from protocols.wire.serialize import decode, encode, read_envelope

IDS = st.integers(0, 2**31 - 1)
SIZES = st.integers(1, 5)
TEXTS = st.text(max_size=12)
NAMES = st.text(min_size=1, max_size=12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
WEIGHTS = st.floats(0, 2.0**53, exclude_min=True)


def floats(*dims: int) -> st.SearchStrategy[Any]:
    return hnp.arrays(np.float32, dims, elements=st.floats(width=32))


@st.composite
def square(draw: st.DrawFn) -> Any:
    size = draw(SIZES)
    return draw(floats(size, size))


@st.composite
def prototypes(draw: st.DrawFn) -> messages.Prototypes:
    number, width = draw(SIZES), draw(SIZES)
    return messages.Prototypes(values=draw(floats(number, width)), counts=draw(floats(number)))


@st.composite
def rankings(draw: st.DrawFn) -> messages.Rankings:
    senders, anchors, length = draw(SIZES), draw(SIZES), draw(SIZES)
    return messages.Rankings(
        scores=draw(floats(senders, anchors, length)),
        ids=draw(hnp.arrays(np.int32, (senders, anchors, length))),
        agreement=draw(floats(senders, anchors)),
    )


@st.composite
def components(draw: st.DrawFn) -> messages.Components:
    agents, chunks, size, kept = draw(SIZES), draw(SIZES), draw(SIZES), draw(SIZES)
    return messages.Components(
        values=draw(floats(agents, chunks * kept)),
        places=draw(hnp.arrays(np.uint16, (agents, chunks * kept))),
        layout=f"tiny:{chunks}x{size}x{kept}",
    )


@st.composite
def statistics(draw: st.DrawFn) -> messages.Statistics:
    views, width = draw(SIZES), draw(SIZES)
    return messages.Statistics(
        means=draw(floats(views, width)),
        squares=draw(floats(views, width)),
        products=draw(floats(width, width)),
        weight=draw(WEIGHTS),
    )


def any_floats(rank: int) -> st.SearchStrategy[Any]:
    return st.tuples(*[SIZES] * rank).flatmap(lambda shape: floats(*shape))


TASK_NAMES = st.from_regex(r"\A[A-Za-z0-9_./-]{1,64}\Z")
ORIGINS = st.lists(st.from_regex(r"\A[0-9a-f]{16,20}\Z"), min_size=1, max_size=3).map(tuple)
AMOUNTS = st.floats(0, 2.0**100)
SHARES = st.floats(0, 1)
COST: dict[str, Any] = {"origins": ORIGINS, "flops": AMOUNTS, "seconds": AMOUNTS}


@st.composite
def about_queries(draw: st.DrawFn, payload: type[Payload], **fields: Any) -> Payload:
    """Draw a payload; fields are strategies, or functions from Q to one."""
    queries = draw(SIZES)
    fields = {"task": TASK_NAMES, "ids": lambda q: hnp.arrays(np.int64, q), **fields}
    drawn = {
        name: draw(field if isinstance(field, st.SearchStrategy) else field(queries))
        for name, field in fields.items()
    }
    return payload(**drawn)


def marks(queries: int) -> st.SearchStrategy[Any]:
    return hnp.arrays(np.uint8, queries)


STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "embeddings": st.builds(messages.Embeddings, values=any_floats(3)),
    "similarity_targets": st.builds(messages.SimilarityTargets, values=square(), weight=WEIGHTS),
    "prototypes": prototypes(),
    "statistics": statistics(),
    "private_embeddings": st.builds(messages.PrivateEmbeddings, values=any_floats(3), batch=IDS),
    "embedding_gradients": st.builds(messages.EmbeddingGradients, values=any_floats(3), batch=IDS),
    "pseudo_labels": st.builds(messages.PseudoLabels, probabilities=any_floats(2), weight=WEIGHTS),
    "label_votes": st.builds(messages.LabelVotes, probabilities=any_floats(3)),
    "logits": st.builds(messages.Logits, values=any_floats(2), weight=WEIGHTS),
    "rankings": rankings(),
    "weights": st.builds(messages.Weights, values=any_floats(1), weight=WEIGHTS, layout=NAMES),
    "weight_deltas": st.builds(
        messages.WeightDeltas, values=any_floats(1), weight=WEIGHTS, layout=NAMES
    ),
    "components": components(),
    "metrics": st.builds(messages.Metrics, values=st.dictionaries(TEXTS, FINITE, max_size=4)),
    "control": st.builds(
        messages.Control,
        command=NAMES,
        arguments=st.dictionaries(
            TEXTS,
            st.one_of(TEXTS, st.integers(-(2**63), 2**63 - 1), FINITE, st.booleans()),
            max_size=4,
        ),
    ),
    "announcement": st.builds(
        messages.Announcement,
        task=TASK_NAMES,
        classes=st.integers(2, 2**31 - 1),
        queries=st.integers(1, 2**31 - 1),
        tokens=AMOUNTS,
        floor=SHARES,
    ),
    "bid": st.builds(
        messages.Bid,
        task=TASK_NAMES,
        **COST,
        accuracy=SHARES,
        examples=st.integers(1, 2**31 - 1),
        ready_s=AMOUNTS,
    ),
    "assignment": about_queries(
        messages.Assignment,
        attempt=IDS,
        start_s=st.floats(0, 9),
        deadline_s=st.floats(10, 2.0**100),
    ),
    "answer": about_queries(
        messages.Answer,
        **COST,
        attempt=IDS,
        probabilities=lambda q: SIZES.flatmap(lambda k: floats(q, k)),
        abstains=marks,
        in_sample=marks,
    ),
    "ranked_answer": st.tuples(SIZES, SIZES).flatmap(
        lambda shape: about_queries(
            messages.RankedAnswer,
            **COST,
            attempt=IDS,
            ids=hnp.arrays(np.int64, shape[0]),
            candidates=hnp.arrays(np.int64, shape),
            scores=floats(*shape),
        )
    ),
    "escalation": about_queries(
        messages.Escalation,
        attempt=IDS,
        embeddings=lambda q: SIZES.flatmap(lambda d: floats(q, d)),
        shares_text=st.just(True),
        texts=lambda q: st.tuples(*[TEXTS] * q),
    ),
    "verdict": about_queries(
        messages.Verdict,
        origins=ORIGINS,
        classes=st.integers(2, 2**31 - 1),
        decided=lambda q: hnp.arrays(np.int32, q),
        confidences=floats,
    ),
    "claims": st.tuples(SIZES, SIZES, SIZES, SIZES).flatmap(
        lambda shape: st.builds(
            messages.Claims,
            frame=st.just("0" * 32),
            episode=IDS,
            labels=st.just(tuple(f"label {k}" for k in range(shape[2]))),
            kinds=hnp.arrays(np.uint8, shape[0]),
            embeddings=floats(shape[0], shape[1]),
            counts=floats(shape[0], shape[2]),
            origin_counts=hnp.arrays(np.int32, shape[0]),
            origins=hnp.arrays(np.uint8, (shape[3], 16)),
        )
    ),
    "next_tokens": st.tuples(SIZES, SIZES).flatmap(
        lambda shape: about_queries(
            messages.NextTokens,
            **COST,
            attempt=IDS,
            vocabulary=st.just("0" * 32),
            size=st.integers(1000, 2**31 - 1),
            step=IDS,
            ids=hnp.arrays(np.int64, shape[0]),
            tokens=hnp.arrays(np.int32, shape),
            probabilities=floats(*shape),
        )
    ),
    "masked_sum": st.builds(
        messages.MaskedSum,
        values=SIZES.flatmap(lambda size: hnp.arrays(np.uint64, size)),
        weight=WEIGHTS,
        layout=NAMES,
    ),
    "keys": SIZES.flatmap(
        lambda agents: st.builds(
            messages.Keys,
            ids=hnp.arrays(np.int32, agents),
            values=hnp.arrays(np.uint8, (agents, 32)),
        )
    ),
}
GRADIENTS = st.one_of(
    st.sampled_from([Gradient(), Gradient(kind="differentiable")]),
    st.builds(Gradient, kind=st.just("stale"), staleness=st.integers(1, 2**31 - 1)),
)


@st.composite
def composed(draw: st.DrawFn, payloads: st.SearchStrategy[Any]) -> Message:
    return Message.compose(
        draw(payloads),
        sender=draw(IDS),
        round=draw(IDS),
        hop=draw(IDS),
        gradient=draw(GRADIENTS),
    )


@pytest.mark.parametrize("kind", PAYLOADS)
def test_message_survives_the_wire(kind: str) -> None:
    @given(message=composed(STRATEGIES[kind]))
    @settings(max_examples=60)
    def survives(message: Message) -> None:
        buffer = encode(message)
        received = decode(buffer)
        assert received == message
        assert type(received.payload) is PAYLOADS[kind]
        assert encode(received).tobytes() == buffer.tobytes()
        assert read_envelope(buffer) == message.envelope

    survives()
