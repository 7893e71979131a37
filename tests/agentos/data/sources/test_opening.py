from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentos.data.sources import Csv, HuggingFace, Jsonl, Parquet, Source, Text
from agentos.data.sources.files import file_digest
from agentos.data.sources.record import MAX_RECORD_BYTES
from protocols.errors import DataError

ROWS = "".join(json.dumps({"text": f"words {i}"}) + "\n" for i in range(3)).encode()


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
}


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refused(source: Source) -> DataError:
    with pytest.raises(DataError) as caught:
        list(source.documents())
    return caught.value


def texts(source: Source) -> list[str]:
    return [document.text for document in source.documents()]


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("upper", [False, True])
def test_endings_are_read_in_either_case_alone_and_in_a_folder(
    tmp_path: Path, suffix: str, upper: bool
) -> None:
    name = f"a.jsonl{suffix}"
    content = COMPRESS[suffix](ROWS) if suffix else ROWS
    path = put(tmp_path / (name.upper() if upper else name), content)
    for place in (path, tmp_path):
        assert texts(Jsonl(path=str(place))) == ["words 0", "words 1", "words 2"]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_parts_that_are_compressed_one_after_another_are_read_whole(
    tmp_path: Path, suffix: str
) -> None:
    path = put(tmp_path / f"a.jsonl{suffix}", COMPRESS[suffix](ROWS) * 2)
    assert len(texts(Jsonl(path=str(path)))) == 6


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("kind", [Jsonl, Csv, Text])
def test_compressed_file_cut_short_or_damaged_is_refused(
    tmp_path: Path, suffix: str, kind: Any
) -> None:
    whole = COMPRESS[suffix](b"text\n" + b"words of a text\n" * 100)
    for content in (whole[:-12], b"no such thing"):
        path = put(tmp_path / f"a{suffix}", content)
        assert "damaged or cut short" in refused(kind(path=str(path))).message


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_compressed_file_without_its_ending_is_named_for_what_it_is(
    tmp_path: Path, suffix: str
) -> None:
    path = put(tmp_path / "a.jsonl", COMPRESS[suffix](ROWS))
    error = refused(Jsonl(path=str(path)))
    assert "is compressed with" in error.message
    assert str(error.expected).endswith(suffix)


@pytest.mark.parametrize("name", ["a.jsonl.lz4", "a.jsonl.zip", "a.jsonl.br", "a.tar"])
def test_other_compressions_and_archives_are_refused_by_name(tmp_path: Path, name: str) -> None:
    error = refused(Jsonl(path=str(put(tmp_path / name, b"x"))))
    assert "which is not read" in error.message
    assert ".zst" in str(error.expected)


def test_text_that_begins_like_bzip2_is_text(tmp_path: Path) -> None:
    assert texts(Text(path=str(put(tmp_path / "a.txt", b"BZh is no word")))) == ["BZh is no word"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", [Jsonl, Csv, Text, Parquet])
def test_pipe_and_device_are_refused_at_once(tmp_path: Path, kind: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        source = kind(path=str(tmp_path / name))
        assert "not a regular file" in refused(source).message
        with pytest.raises(DataError, match="not a regular file"):
            source.fingerprint()
    with pytest.raises(DataError, match="not a regular file"):
        file_digest(tmp_path / "pipe")


# --- bounds ---


@pytest.mark.parametrize(
    ("kind", "head", "message"),
    [
        (Jsonl, b'{"text": "', "the record is too large"),
        (Text, b"", "the record is too large"),
        (Csv, b"text\n", "a row of more than"),
    ],
)
def test_one_line_of_gigabytes_is_refused_in_little_memory(
    tmp_path: Path, kind: Any, head: bytes, message: str
) -> None:
    path = tmp_path / "a.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(head)
        for _ in range(3):
            stream.write(b"a" * MAX_RECORD_BYTES)
    tracemalloc.start()
    try:
        error = refused(kind(path=str(path)))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert message in str(error)
    assert peak_bytes < 8 * MAX_RECORD_BYTES


def test_lines_after_one_too_large_are_read(tmp_path: Path) -> None:
    path = put(tmp_path / "a.txt", b"one\n" + b"x" * (MAX_RECORD_BYTES * 2) + b"\ntwo\n")
    records = list(Text(path=str(path), unit="line").records())
    assert [getattr(record, "text", "bad") for record in records] == ["one", "bad", "two"]


def test_paragraph_too_large_is_a_bad_record(tmp_path: Path) -> None:
    line = b"x" * (MAX_RECORD_BYTES // 2) + b"\n"
    path = put(tmp_path / "a.txt", line * 3 + b"\nshort\n")
    records = list(Text(path=str(path), unit="paragraph").records())
    assert [getattr(record, "text", "bad") for record in records] == ["bad", "short"]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_file_that_expands_out_of_proportion_is_refused(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentos.data.sources.opening.FREE_BYTES", 1 << 20)
    plain = b'{"text": "the same words"}\n' * (1 << 17)
    path = put(tmp_path / f"a.jsonl{suffix}", COMPRESS[suffix](plain))
    error = refused(Jsonl(path=str(path)))
    assert len(plain) > 200 * path.stat().st_size
    assert "expands beyond the bound" in error.message


def test_parquet_of_kilobytes_that_would_become_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    value = "word " * (1 << 18)
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array([value]))
    pq.write_table(pa.table({"text": column}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 10_000
    assert "expands beyond the bound" in refused(Parquet(path=str(path))).message


def test_parquet_rows_without_bytes_are_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentos.data.sources.parquet_rows.FREE_BYTES", 1 << 20)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.nulls(1_000_000, pa.string())}), path)
    records = Parquet(path=str(path)).records()
    with pytest.raises(DataError, match="expands beyond the bound"):
        for _ in records:
            pass


# --- names given twice, and labels ---


@pytest.mark.parametrize("header", ["text,label,label", "text,text,label", "text,label,x,x"])
def test_csv_column_twice_is_refused(tmp_path: Path, header: str) -> None:
    row = ",".join("ab" for _ in header.split(","))
    error = refused(Csv(path=str(put(tmp_path / "a.csv", f"{header}\n{row}\n".encode()))))
    assert "line 1: the column" in error.message
    assert "twice" in error.message


def test_csv_columns_without_a_name_may_be_several(tmp_path: Path) -> None:
    assert texts(Csv(path=str(put(tmp_path / "a.csv", b"text,,\nwords,,\n")))) == ["words"]


def test_parquet_column_twice_is_refused(tmp_path: Path) -> None:
    table = pa.table([["one"], ["two"]], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert "twice" in refused(Parquet(path=str(tmp_path / "a.parquet"))).message


@pytest.mark.parametrize(
    "line", [b'{"text": "a", "text": "b"}', b'{"text": "a", "x": {"y": 1, "y": 2}}']
)
def test_json_key_twice_is_a_bad_record(tmp_path: Path, line: bytes) -> None:
    assert "is there twice" in refused(Jsonl(path=str(put(tmp_path / "a.jsonl", line)))).message


@pytest.mark.parametrize("value", ["", "  ", None, [1], float("nan"), 1.0, {"a": 1}])
def test_label_that_is_no_name_is_a_bad_record(tmp_path: Path, value: object) -> None:
    line = json.dumps({"text": "words", "label": value}).encode()
    error = refused(Jsonl(path=str(put(tmp_path / "a.jsonl", line)), label="label"))
    assert "line 1: the label cannot be used" in error.message


def test_tab_separates_the_columns_of_tsv_and_quotes_are_characters(tmp_path: Path) -> None:
    path = put(tmp_path / "a.TSV", b'text\tlabel\n"Well, he said\tx\n')
    (document,) = Csv(path=str(path), label="label").documents()
    assert (document.text, document.label) == ('"Well, he said', "x")


def test_class_label_without_a_name_is_a_bad_record(tmp_path: Path) -> None:
    import datasets

    names = datasets.ClassLabel(names=["n", "p"])
    features = datasets.Features({"text": datasets.Value("string"), "label": names})
    rows = {"text": ["one", "two", "three"], "label": [0, -1, 1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    source = HuggingFace(path="parquet", data_files=str(tmp_path / "a.parquet"), label="label")
    first, bad, last = source.records()
    assert [getattr(first, "label", None), getattr(last, "label", None)] == ["n", "p"]
    assert isinstance(bad, DataError)
    assert "record 2: the label cannot be used" in bad.message
    assert bad.actual == "int -1"
