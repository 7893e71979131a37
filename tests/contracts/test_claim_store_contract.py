"""Every store of claims finds what a slow search finds, forgets what is dropped, and survives reopening."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentos.learning.knowledge.storage.claim_store import ClaimStore, MemoryStore, Row
from agentos.learning.knowledge.storage.lance_store import LanceStore
from agents.knowledge.claims import Claim, Status
from protocols.errors import RecordError
from protocols.seeding import generator

STORES: dict[str, Callable[[Path], ClaimStore]] = {
    "memory": lambda folder: MemoryStore(),
    "lance": LanceStore,
    "lance with an index": lambda folder: LanceStore(folder, exact_up_to=256),
}
FRAMES = ("0" * 32, "1" * 32)


@pytest.fixture(params=STORES.values(), ids=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ClaimStore:
    opened: ClaimStore = request.param(tmp_path / "tables")
    return opened


def claims(count: int, frame: int = 0, status: Status = "accepted", width: int = 8) -> list[Claim]:
    points = generator(0, "store", frame).standard_normal((count, width)).astype(np.float32)
    return [
        Claim(
            kind="label",
            embedding=point,
            frame=FRAMES[frame],
            labels=(("a", 1.0),),
            sources=("s",),
            origins=(f"{row:032x}",),
            status=status,
        )
        for row, point in enumerate(points)
    ]


def test_nearest_agrees_with_a_slow_search(store: ClaimStore) -> None:
    held = claims(40)
    store.put(held)
    queries = generator(1, "queries").standard_normal((5, 8)).astype(np.float32)
    found = store.nearest(FRAMES[0], queries, 7)
    for query, digests, cosines in zip(queries, found.digests, found.cosines, strict=True):
        slow = {
            claim.digest: float(
                query @ claim.embedding / np.linalg.norm(query) / np.linalg.norm(claim.embedding)
            )
            for claim in held
        }
        assert digests == sorted(slow, key=lambda name: -slow[name])[:7]
        np.testing.assert_allclose(cosines, sorted(slow.values())[::-1][:7], atol=1e-5)


def test_only_accepted_claims_of_the_frame_are_found(store: ClaimStore) -> None:
    accepted, disputed = claims(4), claims(8, status="disputed")[4:]
    store.put([*accepted, *disputed, *claims(3, frame=1, width=5)])
    found = store.nearest(FRAMES[0], np.ones((1, 8), np.float32), 50)
    assert set(found.digests[0]) == {claim.digest for claim in accepted}
    assert store.nearest("2" * 32, np.ones((1, 8), np.float32), 3).digests == [[]]


def test_put_replaces_and_drop_removes(store: ClaimStore) -> None:
    held = claims(6)
    store.put(held)
    store.put([held[0].with_status("retracted")])
    store.drop([held[1].digest, "f" * 32])
    expected = {Row(c.digest, c.status) for c in held[2:]} | {Row(held[0].digest, "retracted")}
    assert store.rows() == expected


def test_version_grows_with_every_change(store: ClaimStore) -> None:
    held, versions = claims(3), [store.version(FRAMES[0])]
    store.put(held)
    versions.append(store.version(FRAMES[0]))
    store.put([held[0].with_status("disputed")])
    versions.append(store.version(FRAMES[0]))
    store.drop([held[1].digest])
    versions.append(store.version(FRAMES[0]))
    assert versions[0] == 0
    assert versions == sorted(set(versions))


def test_sync_makes_the_rows_those_of_the_state(store: ClaimStore) -> None:
    held = claims(6)
    store.put(held[:4])
    wanted = [held[0], held[1].with_status("disputed"), held[5]]
    store.sync(wanted)
    assert store.rows() == {Row(claim.digest, claim.status) for claim in wanted}
    before = store.version(FRAMES[0])
    store.sync(wanted)
    assert store.version(FRAMES[0]) == before


def test_compaction_changes_no_answer(store: ClaimStore) -> None:
    held = claims(30)
    for claim in held:
        store.put([claim])
    queries = np.stack([claim.embedding for claim in held])
    before = store.nearest(FRAMES[0], queries, 3)
    store.compact()
    assert store.nearest(FRAMES[0], queries, 3).digests == before.digests


def test_index_above_the_limit_finds_most_of_the_nearest(tmp_path: Path) -> None:
    store, held = LanceStore(tmp_path, exact_up_to=256), claims(600)
    store.put(held)
    exact = store.nearest(FRAMES[0], np.stack([c.embedding for c in held[:40]]), 1)
    assert [row[0] for row in exact.digests] == [claim.digest for claim in held[:40]]
    store.compact()
    table = store._tables[f"frame_{FRAMES[0]}"]
    assert len(table.list_indices()) == 1
    found = store.nearest(FRAMES[0], np.stack([c.embedding for c in held[:40]]), 5)
    hits = sum(c.digest in row for c, row in zip(held[:40], found.digests, strict=True))
    assert hits >= 32


def test_compaction_keeps_the_folder_from_growing_with_versions(tmp_path: Path) -> None:
    store, held = LanceStore(tmp_path), claims(20)
    for status in ("accepted", "disputed") * 10:
        store.put([claim.with_status(status) for claim in held])  # type: ignore[arg-type]
    before = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    store.compact()
    after = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert after < before / 3


def test_tables_of_lance_survive_reopening(tmp_path: Path) -> None:
    LanceStore(tmp_path).put(claims(5))
    assert LanceStore(tmp_path).rows() == {Row(c.digest, c.status) for c in claims(5)}


def test_damaged_tables_are_refused_with_their_place(tmp_path: Path) -> None:
    LanceStore(tmp_path).put(claims(5))
    for path in tmp_path.rglob("*.lance"):
        if path.is_file():
            path.write_bytes(b"nothing")
    with pytest.raises(RecordError, match=str(tmp_path)):
        LanceStore(tmp_path).rows()
