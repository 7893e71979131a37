"""A knowledge base is its log: replayed, rolled back, recovered, or refused with the file named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from agentos.learning.knowledge.config import KnowledgeConfig
from agentos.learning.knowledge.storage.base_of_life import opened
from agentos.learning.knowledge.storage.changes import Joined, Weighed
from agentos.learning.knowledge.storage.claim_log import LOG
from agentos.learning.knowledge.storage.claim_store import MemoryStore, Row
from agentos.learning.knowledge.storage.knowledge_base import TABLES, KnowledgeBase
from agentos.learning.knowledge.storage.knowledge_state import fold
from agentos.learning.knowledge.storage.lance_store import LanceStore
from agents.knowledge.claims import Claim, merged
from protocols.errors import ConfigurationError, RecordError
from protocols.seeding import generator

FRAME = "0" * 32


def claims(count: int = 5) -> list[Claim]:
    points = generator(0, "base").standard_normal((count, 4)).astype(np.float32)
    return [
        Claim(
            kind="label",
            embedding=point,
            frame=FRAME,
            labels=(("ab"[row % 2], 1.0),),
            sources=(f"agent-{row}",),
            origins=(f"{row:032x}",),
            status="accepted",
        )
        for row, point in enumerate(points)
    ]


def memory(folder: Path) -> MemoryStore:
    return MemoryStore()


def lived(folder: Path) -> KnowledgeBase:
    base = KnowledgeBase.create(folder, memory)
    names = base.add(claims())
    base.mark("first")
    base.move(names[:2], "disputed", "rivals", by=["1" * 32])
    base.write(
        [
            Weighed(
                digest=names[0],
                rivals=(names[1],),
                weights={"agent-0": 0.25},
                shares={"a": 0.3, "b": 0.7},
                resolver="majority",
            ),
            Joined(parts=(names[2], names[4]), whole=merged([claims()[2], claims()[4]])),
        ]
    )
    return base


def test_state_is_the_fold_of_the_log_bit_for_bit(tmp_path: Path) -> None:
    with lived(tmp_path / "a") as base, lived(tmp_path / "b") as other:
        state = base.state.digest()
        assert other.state.digest() == state
    assert KnowledgeBase.read(tmp_path / "a").state.digest() == state
    assert (tmp_path / "a" / LOG).read_bytes() == (tmp_path / "b" / LOG).read_bytes()


def test_rollback_is_a_prefix_and_can_be_rolled_back_itself(tmp_path: Path) -> None:
    with lived(tmp_path / "kb") as base:
        full, length = base.state.digest(), base.records
        for records in range(length + 1):
            base.rollback(records)
            assert base.state.digest() == fold(base._log.changes[:records]).digest()
            assert base.store.rows() == {
                Row(c.digest, c.status)
                for d, c in base.state.claims.items()
                if d not in base.state.wholes
            }
        base.rollback(length)
        assert base.state.digest() == full
        base.add(claims(6))
        assert len(base.state.claims) == 7
        with pytest.raises(ConfigurationError, match="cannot go to record"):
            base.rollback(10_000)


def test_torn_last_record_is_recovered_at_every_byte(tmp_path: Path) -> None:
    with lived(tmp_path / "kb"):
        pass
    path = tmp_path / "kb" / LOG
    whole = path.read_bytes()
    start = whole.rstrip(b"\n").rfind(b"\n") + 1
    before = KnowledgeBase.read(tmp_path / "kb").at(9).digest()
    for cut in {start, start + 1, (start + len(whole)) // 2, len(whole) - 1}:
        path.write_bytes(whole[:cut])
        assert KnowledgeBase.read(tmp_path / "kb").state.digest() == before
    with KnowledgeBase.open(tmp_path / "kb", memory) as base:
        base.write(
            [Joined(parts=tuple(list(base.state.claims)[2:5:2]), whole=merged(claims()[2:5:2]))]
        )
    assert path.read_bytes() == whole


@pytest.mark.parametrize("kind", ["flip", "drop", "swap", "insert", "foreign", "header", "empty"])
def test_damaged_log_is_refused_with_the_file_named(tmp_path: Path, kind: str) -> None:
    with lived(tmp_path / "kb"):
        pass
    path = tmp_path / "kb" / LOG
    lines = path.read_bytes().splitlines(keepends=True)
    flipped = lines[2].replace(b'"count', b'"kount').replace(b"agent-1", b"agent-9")
    damaged = {
        "flip": [*lines[:2], flipped, *lines[3:]],
        "drop": [*lines[:2], *lines[3:]],
        "swap": [lines[0], lines[2], lines[1], *lines[3:]],
        "insert": [*lines[:2], lines[1], *lines[2:]],
        "foreign": [b'{"loss": 0.5}\n', b"[]\n"],
        "header": [lines[0].replace(b'"version": 1', b'"version": 2'), *lines[1:]],
        "empty": [],
    }
    path.write_bytes(b"".join(damaged[kind]))
    for reading in (KnowledgeBase.read, KnowledgeBase.open):
        with pytest.raises(RecordError, match=str(path)):
            reading(tmp_path / "kb")


def test_reading_runs_no_code(tmp_path: Path) -> None:
    lived(tmp_path / "kb").close()
    KnowledgeBase.read(tmp_path / "kb")  # imports what reading needs
    running, watching = set[str](), [True]

    def note(event: str, _: object) -> None:
        if watching and event in ("exec", "compile", "pickle.find_class", "import", "os.system"):
            running.add(event)

    sys.addaudithook(note)  # for good: there is no way to remove it
    try:
        assert KnowledgeBase.read(tmp_path / "kb").records
        assert not running
        compile("1", "seen", "eval")
        assert running == {"compile"}
    finally:
        watching.clear()


def test_folder_without_a_log_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(RecordError, match=LOG):
        KnowledgeBase.open(tmp_path)
    with pytest.raises(RecordError, match="is not empty"):
        KnowledgeBase.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_records_that_name_no_claim_are_refused(tmp_path: Path) -> None:
    with lived(tmp_path / "kb") as base, pytest.raises(ConfigurationError, match="0 claims"):
        base.move(["f" * 32], "retracted", "none")
    with KnowledgeBase.open(tmp_path / "kb", memory) as base:
        length = base.records
        with pytest.raises(ValueError, match="no claim"):
            base.write(
                [Weighed(digest="f" * 32, rivals=(), weights={}, shares={}, resolver="majority")]
            )
        assert base.records == length


def test_second_writer_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from agentos.learning.knowledge.storage.claim_store import MemoryStore\n"
        "from agentos.learning.knowledge.storage.knowledge_base import KnowledgeBase\n"
        "try: KnowledgeBase.open(Path(sys.argv[1]), lambda folder: MemoryStore())\n"
        "except Exception as error: print(error)\n"
    )
    with lived(tmp_path / "kb"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "kb")],
            capture_output=True,
            text=True,
            check=True,
        )
        holder = json.loads((tmp_path / "kb" / ".lock-holder.json").read_text())
        assert f"process {holder['process']} on host {holder['host']}" in done.stdout
        assert KnowledgeBase.read(tmp_path / "kb").records == 10


def test_reader_cannot_write(tmp_path: Path) -> None:
    with lived(tmp_path / "kb"):
        pass
    with pytest.raises(ConfigurationError, match="open for reading"):
        KnowledgeBase.read(tmp_path / "kb").add(claims(7))


def test_why_shows_rivals_parts_and_decisions(tmp_path: Path) -> None:
    with lived(tmp_path / "kb") as base:
        names = [claim.digest for claim in claims()]
        told = base.why(names[0][:12])
        assert told.claim.status == "disputed"
        assert [rival.digest for rival in told.rivals] == [names[1]]
        assert [decision.kind for decision in told.decisions] == ["moved", "weighed"]
        part = base.why(names[2])
        assert part.whole is not None
        assert {c.digest for c in base.why(part.whole.digest).parts} == {names[2], names[4]}


def test_tables_are_rebuilt_from_the_log(tmp_path: Path) -> None:
    with KnowledgeBase.create(tmp_path / "kb") as base:
        names = base.add(claims())
        base.mark("episode 0")
        base.move(names[:1], "retracted", "wrong")
        rows = base.store.rows()
        # As after a crash between the log and the database.
        base.store.drop(names[2:])
    with KnowledgeBase.open(tmp_path / "kb") as base:
        assert base.store.rows() == rows
        found = base.nearest(FRAME, np.stack([claim.embedding for claim in claims()]), 9)
        assert names[0] not in found.digests[0]
        assert found.digests[1][0] == names[1]
    assert (tmp_path / "kb" / TABLES).is_dir()


def test_tables_by_address_are_searched_from_elsewhere(tmp_path: Path) -> None:
    address = (tmp_path / "far").as_uri()
    tables = KnowledgeConfig(tables=address).tables
    for episode in range(2):  # created, and opened again
        with opened(tmp_path / "kb", episode, 5 * episode, tables) as base:
            assert base is not None
            base.add(claims())
    assert not (tmp_path / "kb" / TABLES).exists()
    found = LanceStore(address).nearest(FRAME, claims()[3].embedding[None], 1)
    assert found.digests == [[claims()[3].digest]]


def test_address_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(ValidationError, match="tables"):
        KnowledgeConfig(tables="ftp://host/base")
    with pytest.raises(RecordError, match=r"(?s)nowhere://bucket.*credentials"):
        LanceStore("nowhere://bucket")


def test_full_disk_loses_nothing_that_was_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lived(tmp_path / "kb") as base:
        state = base.state.digest()

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", full)
            with pytest.raises(RecordError, match="No space left"):
                base.add(claims(9))
        assert base.state.digest() == state
        assert KnowledgeBase.read(tmp_path / "kb").state.digest() == state
        base.add(claims(9))
        assert KnowledgeBase.read(tmp_path / "kb").state.digest() == base.state.digest()
