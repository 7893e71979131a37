from __future__ import annotations

import os
import pickle
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from agentos.data.cleaning.counts import OUTCOMES
from agentos.data.config import DataConfig
from agentos.data.corpus import Corpus, prepare
from agentos.data.partition import Dirichlet, Partition
from agentos.data.sources import Document, Jsonl, Parquet, Source
from protocols.errors import ConfigurationError, DataError

NEWSGROUPS = Path(__file__).parents[4] / "shared" / "data" / "newsgroups" / "train.parquet"


class Made(Source):
    """Documents made on the spot; a source of the user's own."""

    kind: Literal["made"] = "made"
    documents_count: int = 60
    labels: int = 3
    words: int = 8

    def documents(self) -> Iterator[Document]:
        for i in range(self.documents_count):
            label = f"label-{i % self.labels}" if self.labels else None
            yield Document(f"made:{i}", f"Number {i}\n\n" + "word " * (self.words - 2), label)

    def fingerprint(self) -> str:
        return self.model_dump_json()


class Given(Made):
    """A list of texts."""

    texts: tuple[str | None, ...] = ()

    def records(self) -> Iterator[Document | DataError]:
        for i, text in enumerate(self.texts):
            yield DataError(f"record {i} is bad") if text is None else Document(str(i), text)


class Long(Given):
    """Forty long documents, made as they are asked for."""

    def records(self) -> Iterator[Document | DataError]:
        for i in range(40):
            yield Document(str(i), " ".join([f"{i}{text}" for text in self.texts * 1000]))  # type: ignore[arg-type]


def config(source: Source | None = None, **changes: Any) -> DataConfig:
    return DataConfig(source=source or Made(), **{"anchors": 6, "heldout": 0.2, **changes})


def made(cache: Path, *, agents: int = 3, seed: int = 0, **changes: Any) -> Corpus:
    return prepare(config(**changes), agents=agents, seed=seed, cache=cache)


def given(cache: Path, *texts: str | None, **changes: Any) -> Corpus:
    settings: dict[str, Any] = {"anchors": 0, "heldout": 0.01, **changes}
    return made(cache, agents=1, source=Given(texts=texts), **settings)


def test_train_anchors_and_heldout_are_disjoint_and_cover_the_documents(tmp_path: Path) -> None:
    corpus = made(tmp_path)
    assert (len(corpus.train), len(corpus.anchors), len(corpus.heldout)) == (42, 6, 12)
    together = np.concatenate([corpus.train, corpus.anchors, corpus.heldout])
    assert sorted(together) == list(range(60))
    for rows in (corpus.train, corpus.anchors, corpus.heldout, *corpus.shards):
        assert rows.dtype == np.int64
        assert np.all(np.diff(rows) > 0)
    assert sorted(np.concatenate(corpus.shards)) == corpus.train.tolist()


def test_texts_and_labels_are_those_of_their_rows(tmp_path: Path) -> None:
    corpus = made(tmp_path)
    rows = corpus.heldout[::-1]
    assert [text.split("\n")[0] for text in corpus.texts(rows)] == [f"Number {r}" for r in rows]
    assert corpus.labels(rows) == [f"label-{r % 3}" for r in rows]
    assert corpus.has_labels
    assert not made(tmp_path, source=Made(labels=0)).has_labels


def test_split_depends_on_the_seed_alone(tmp_path: Path) -> None:
    first, again, other = (
        made(tmp_path / str(place), seed=seed) for place, seed in enumerate((0, 0, 1))
    )
    np.testing.assert_array_equal(first.heldout, again.heldout)
    np.testing.assert_array_equal(first.shards[1], again.shards[1])
    assert not np.array_equal(first.heldout, other.heldout)


def test_heldout_is_limited(tmp_path: Path) -> None:
    assert len(made(tmp_path, heldout_limit=5).heldout) == 5


def test_duplicates_and_short_texts_are_left_out_and_counted(tmp_path: Path) -> None:
    texts = (
        "One two three.",
        "one  TWO\nthree.",
        "Four five six.",
        "two words",
        "",
        "Four five six.",
    )
    corpus = given(tmp_path, *texts, minimum_words=3)
    assert sorted(corpus.texts(range(len(corpus)))) == ["Four five six.", "One two three."]
    assert corpus.counts == {
        "read": 6,
        "kept": 2,
        **dict.fromkeys(OUTCOMES, 0),
        "duplicates": 2,
        "too_short": 2,
        "train": 1,
        "anchors": 0,
        "heldout": 1,
        "across": 1,  # two duplicates, each in the other of two halves with probability 1/2
    }


def test_near_duplicates_are_left_out_and_counted(tmp_path: Path) -> None:
    long = [f"{start} " + " ".join(f"w{start}x{i}" for i in range(60)) for start in range(4)]
    texts = [*long, long[1] + " more", long[2] + " more", "more " + long[2]]
    corpus = given(tmp_path, *texts)
    assert corpus.texts(range(len(corpus))) == long
    assert (corpus.counts["near_duplicates"], corpus.counts["kept"], len(corpus)) == (3, 4, 4)
    kept = given(tmp_path, *texts, near_duplicates=None)
    assert (len(kept), kept.counts["near_duplicates"]) == (7, 0)
    assert [p.name for p in sorted(corpus.directory.iterdir())] == [
        "counts.json",
        "digests.json",
        "documents.arrow",
    ]


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    texts = ["some words that are kept", "and some more of them", "too short", "x " * 20, None]
    corpus = given(tmp_path, *texts, cleaning={"maximum_words": 15}, on_bad_record="skip", limit=9)
    counts = {name: count for name, count in corpus.counts.items() if count}
    assert counts == {
        "read": 5, "kept": 2, "too_short": 1, "too_long": 1, "bad": 1, "bad_other": 1, "train": 1,
        "heldout": 1,
    }  # fmt: skip


def test_bad_record_stops_the_run_unless_it_may_be_skipped(tmp_path: Path) -> None:
    texts = ("one two three", None, "four five six", None)
    with pytest.raises(DataError, match="record 1 is bad"):
        given(tmp_path, *texts, minimum_words=1)
    corpus = given(tmp_path, *texts, minimum_words=1, on_bad_record="skip")
    assert (corpus.counts["bad"], corpus.counts["kept"]) == (2, 2)


def test_skipping_is_said_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given(tmp_path, "a b", None, "c d", None, minimum_words=1, on_bad_record="skip")
    assert caplog.text.count("skipping bad records") == 1
    assert "record 1 is bad" in caplog.text


@pytest.mark.parametrize("texts", [(), ("short",), (None, None)])
def test_source_without_usable_text_is_refused(tmp_path: Path, texts: tuple[Any, ...]) -> None:
    with pytest.raises(DataError, match="no usable document") as caught:
        given(tmp_path, *texts, on_bad_record="skip")
    assert f"{len(texts)} read" in str(caught.value.actual)


def test_limit_bounds_what_is_read(tmp_path: Path) -> None:
    assert made(tmp_path, limit=30).counts["read"] == 30


def test_too_few_documents_are_refused_with_numbers(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too few documents") as caught:
        made(tmp_path, anchors=50)
    assert "at least 65: 50 anchors, 12 held out" in str(caught.value.expected)
    assert "60 of 60 read" in str(caught.value.actual)
    assert "data.anchors" in str(caught.value.hint)


def test_names_are_the_labels_that_agents_read_alone(tmp_path: Path) -> None:
    assert made(tmp_path, partition="by_label").names == ("label-0", "label-1", "label-2")
    assert made(tmp_path, partition="iid").names == ("agent-0", "agent-1", "agent-2")
    shared = made(tmp_path, partition="by_label", agents=4).names
    assert len(set(shared)) == 4
    assert sum(name.startswith("label-") for name in shared) == 2


def test_partition_by_label_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="by_label needs labels"):
        made(tmp_path, source=Made(labels=0), partition="by_label")


def test_kmeans_reads_the_training_texts(tmp_path: Path) -> None:
    corpus = made(tmp_path, partition={"kind": "kmeans", "minimum": 4})
    assert min(map(len, corpus.shards)) >= 4


class Greedy(Partition):
    """Everything for the first agent."""

    kind: Literal["greedy"] = "greedy"

    def assign(self, labels: Any, texts: Any, documents: int, agents: int, rng: Any) -> Any:
        return [np.arange(documents), *[np.arange(0)] * (agents - 1)]


def test_custom_partition_that_denies_an_agent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="leaves an agent without text"):
        made(tmp_path, partition=Greedy())


# --- the cache ---


def jsonl(path: Path, count: int) -> DataConfig:
    path.write_text("".join(f'{{"text": "number {i} of some words"}}\n' for i in range(count)))
    return config(Jsonl(path=str(path)))


def test_documents_are_read_once_until_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(jsonl(tmp_path / "a.jsonl", 40), agents=2, seed=0, cache=tmp_path / "c")
    changed = jsonl(tmp_path / "a.jsonl", 50)
    second = prepare(changed, agents=2, seed=0, cache=tmp_path / "c")
    assert (len(first), len(second)) == (40, 50)
    monkeypatch.setattr(Jsonl, "records", lambda self: pytest.fail("read again"))
    assert len(prepare(changed, agents=3, seed=1, cache=tmp_path / "c")) == 50


def test_files_of_one_name_size_and_time_share_no_cached_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = []
    for folder, letter in (("one", "x"), ("two", "y")):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        rows = [f'{{"text": "{letter} number {i} of some words"}}\n' for i in range(10, 50)]
        Path("d.jsonl").write_text("".join(rows))
        os.utime("d.jsonl", (1, 1))
        corpus = prepare(config(Jsonl(path="d.jsonl")), agents=2, seed=0, cache=tmp_path / "c")
        texts.append(corpus.texts([0])[0][0])
    assert texts == ["x", "y"]


def test_changed_byte_in_the_cached_documents_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = made(tmp_path)
    path = before.directory / "documents.arrow"
    texts = before.texts(range(60))
    content, word = path.read_bytes(), texts[5].encode()
    changed = content.replace(word, word[:-1] + bytes([word[-1] ^ 1]))
    assert changed != content
    path.write_bytes(changed)
    after = made(tmp_path)
    assert after.texts(range(60)) == texts
    assert "has changed since it was built" in caplog.text


def test_source_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    data = jsonl(tmp_path / "a.jsonl", 40)

    def overwrite(stage: str, count: int) -> None:
        jsonl(tmp_path / "a.jsonl", 41)

    with pytest.raises(DataError, match="changed while it was read"):
        prepare(data, agents=2, seed=0, cache=tmp_path / "c", progress=overwrite)


def test_digest_is_that_of_text_labels_split_and_shares(tmp_path: Path) -> None:
    corpus = made(tmp_path / "a")
    assert made(tmp_path / "b").digest == corpus.digest
    others = [
        prepare(config(), agents=3, seed=1, cache=tmp_path / "a"),
        prepare(config(), agents=2, seed=0, cache=tmp_path / "a"),
        made(tmp_path / "a", source=Made(words=9)),
    ]
    assert len({corpus.digest, *(other.digest for other in others)}) == 4
    assert others[0].text_digest == others[1].text_digest == corpus.text_digest


def test_cleaning_is_part_of_what_is_cached(tmp_path: Path) -> None:
    places = {
        made(tmp_path, **change).directory
        for change in ({}, {"minimum_words": 6}, {"limit": 40}, {"on_bad_record": "skip"})
    }
    assert len(places) == 4
    assert made(tmp_path, anchors=3, partition=Dirichlet()).directory in places


@pytest.mark.parametrize("name", ["documents.arrow", "counts.json"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "gone"])
def test_damaged_cache_is_built_again(tmp_path: Path, name: str, damage: str) -> None:
    before = made(tmp_path)
    path = before.directory / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"x" * len(content))
    after = made(tmp_path)
    assert after.texts(after.train) == before.texts(before.train)
    assert path.read_bytes() == content


def test_interrupt_while_reading_leaves_no_half_corpus(tmp_path: Path) -> None:
    def interrupt(stage: str, count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(config(), agents=3, seed=0, cache=tmp_path, progress=interrupt)
    assert list((tmp_path / "corpora").glob("[!.]*")) == []
    assert len(made(tmp_path)) == 60


def test_two_runs_at_once_agree(tmp_path: Path) -> None:
    inner: list[Corpus] = []

    def another_run(stage: str, count: int) -> None:
        inner.append(made(tmp_path))

    outer = prepare(config(), agents=3, seed=0, cache=tmp_path, progress=another_run)
    assert outer.texts(outer.train) == inner[0].texts(inner[0].train)
    assert len(list((tmp_path / "corpora").glob("[!.]*"))) == 1


def test_progress_names_the_stage_and_counts_documents(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    source = Made(documents_count=2500)
    prepare(
        config(source), agents=3, seed=0, cache=tmp_path, progress=lambda *what: seen.append(what)
    )
    reading = [("reading", 1024), ("reading", 2048), ("reading", 2500)]
    assert seen == [*reading, ("comparing", 2500)]


def test_corpus_pickles_without_its_texts(tmp_path: Path) -> None:
    corpus = made(tmp_path, source=Made(words=2000))
    corpus.texts([0])
    frozen = pickle.dumps(corpus)
    assert len(frozen) < 5000
    assert pickle.loads(frozen).texts([3]) == corpus.texts([3])


def test_documents_are_never_all_in_memory(tmp_path: Path) -> None:
    long = "x" * 1000
    # 40 texts of a million characters each, in long words, or tracing would take its time.
    source = Long(texts=(long,))
    tracemalloc.start()
    try:
        made(tmp_path, source=source)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 25e6


@pytest.mark.skipif(
    not NEWSGROUPS.exists(), reason="needs the newsgroups data next to the checkout"
)
def test_newsgroups_are_divided_by_label_skew(tmp_path: Path) -> None:
    source = Parquet(path=str(NEWSGROUPS), label="label")
    data = DataConfig(source=source, partition=Dirichlet(alpha=0.3), limit=3000)
    corpus = prepare(data, agents=6, seed=0, cache=tmp_path)
    assert corpus.counts["read"] == 3000
    assert sum(map(len, corpus.shards)) == len(corpus.train)
    keys = [" ".join(text.casefold().split()) for text in corpus.texts(range(len(corpus)))]
    assert len(set(keys)) == len(keys)


def test_split_is_the_same_for_any_number_of_agents(tmp_path: Path) -> None:
    # A single agent that reads all private text is compared with many that share it.
    many, one = (
        prepare(DataConfig(source=Made(), anchors=8), agents=agents, seed=3, cache=tmp_path)
        for agents in (5, 1)
    )
    for part in ("train", "anchors", "heldout"):
        np.testing.assert_array_equal(getattr(many, part), getattr(one, part))
    np.testing.assert_array_equal(np.sort(np.concatenate(many.shards)), one.shards[0])


def test_anchors_come_from_their_own_source_and_nothing_else_does(tmp_path: Path) -> None:
    texts = tuple(f"public text {i} of another domain altogether {i}" for i in range(30))
    config = DataConfig(source=Made(), anchor_source=Given(texts=texts), anchors=8, heldout=0.2)
    corpus = prepare(config, agents=3, seed=0, cache=tmp_path)
    assert {text.split()[0] for text in corpus.texts(corpus.anchors)} == {"public"}
    assert (len(corpus.anchors), len(corpus.heldout), len(corpus.train)) == (8, 12, 48)
    private = np.concatenate([corpus.train, corpus.heldout])
    assert {text.split()[0] for text in corpus.texts(private)} == {"Number"}
    assert set(corpus.labels(private)) == {"label-0", "label-1", "label-2"}
    assert corpus.has_labels


def test_too_few_anchors_of_their_own_source_are_refused(tmp_path: Path) -> None:
    texts = tuple(f"public text {i} of another domain altogether {i}" for i in range(5))
    config = DataConfig(source=Made(), anchor_source=Given(texts=texts), anchors=8)
    with pytest.raises(ConfigurationError, match="too few documents"):
        prepare(config, agents=3, seed=0, cache=tmp_path)
