"""Texts in memory: in every container, the documents and the digest are those of the texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentos import RunConfig, Simulation
from agentos.data.sources import HuggingFace, InMemory
from agentos.data.sources.base import Document
from protocols.errors import DataError

ROWS = [{"text": f"a text number {i}", "label": ("sea", "sky")[i % 2]} for i in range(6)]
FEATURES = datasets.Features(
    {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["sea", "sky"])}
)


def dataset() -> datasets.Dataset:
    return datasets.Dataset.from_list(ROWS, features=FEATURES)


HOLDERS: dict[str, Callable[[], Any]] = {
    "mappings": lambda: ROWS,
    "pandas": lambda: pandas.DataFrame(ROWS),
    "dataset": dataset,
    "generator": lambda: (row for row in ROWS),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_every_holder_gives_the_same_documents(holder: str) -> None:
    source = InMemory.of(HOLDERS[holder](), label="label")
    assert list(source.documents()) == [
        Document(str(i), row["text"], row["label"]) for i, row in enumerate(ROWS)
    ]
    assert source.fingerprint() == InMemory.of(ROWS, label="label").fingerprint()


def test_strings_are_texts_without_labels() -> None:
    assert list(InMemory.of(["one", "two"]).documents()) == [
        Document("0", "one"),
        Document("1", "two"),
    ]


TEXTS = st.lists(st.text(max_size=4), max_size=4)


@given(TEXTS, TEXTS)
def test_digests_are_equal_where_the_texts_are(first: list[str], second: list[str]) -> None:
    same = InMemory.of(first).digest == InMemory.of(second).digest
    assert same == (first == second)


def test_a_label_is_part_of_the_digest() -> None:
    other = [*ROWS[:-1], {**ROWS[-1], "label": "sea"}]
    assert InMemory.of(ROWS, label="label").digest != InMemory.of(other, label="label").digest


@pytest.mark.parametrize("data", ["one text", 3, {"text": ["a"]}, None])
def test_what_holds_no_texts_is_refused(data: Any) -> None:
    with pytest.raises(DataError, match="text cannot be read from"):
        InMemory.of(data)


def test_a_bad_record_is_an_error_in_its_place() -> None:
    source = InMemory.of([{"text": "a"}, {"txt": "b"}, 3, {"text": None}])
    kinds = [isinstance(record, DataError) for record in source.records()]
    assert kinds == [False, True, True, True]
    with pytest.raises(DataError, match="record 1 has no column 'text'"):
        list(source.documents())


def test_a_class_without_a_name_is_no_label() -> None:
    unknown = datasets.Dataset.from_list([{"text": "a", "label": -1}], features=FEATURES)
    with pytest.raises(DataError, match="label"):
        list(InMemory.of(unknown, label="label").documents())


def test_a_folder_of_save_to_disk_is_read_as_the_dataset(tmp_path: Path) -> None:
    dataset().save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"test": dataset()}).save_to_disk(tmp_path / "several")
    expected = [(row["text"], row["label"]) for row in ROWS]
    for path, split in (("one", "train"), ("several", "test")):
        source = HuggingFace(path=str(tmp_path / path), split=split, label="label")
        assert [(each.text, each.label) for each in source.documents()] == expected
    with pytest.raises(DataError, match="cannot be read"):
        list(HuggingFace(path=str(tmp_path / "several"), split="train").documents())


def test_the_digest_of_a_saved_folder_follows_its_content(tmp_path: Path) -> None:
    dataset().save_to_disk(tmp_path / "saved")
    source = HuggingFace(path=str(tmp_path / "saved"))
    before = source.fingerprint()
    (arrow,) = (tmp_path / "saved").glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:-1] + b"x")
    assert source.fingerprint() != before


@pytest.mark.slow
def test_a_run_reads_texts_in_memory_and_records_their_digest(
    small_values: dict[str, Any], sentences: tuple[str, ...], cache: Path, tmp_path: Path
) -> None:
    source = InMemory.of(sentences)
    data = {**small_values["data"], "source": source, "partition": "iid"}
    tasks = {"tasks": ["geometry"], "documents": 40}
    config = RunConfig.model_validate({**small_values, "data": data, "evaluation": tasks})
    result = Simulation(config, out=tmp_path / "run", cache=cache).run()
    assert result.status == "finished"
    assert source.digest in (tmp_path / "run/config.yaml").read_text()
    assert sentences[0] not in (tmp_path / "run/config.yaml").read_text()
