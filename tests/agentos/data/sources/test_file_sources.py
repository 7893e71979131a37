from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentos.data.sources import Csv, Document, Jsonl, Parquet, Source, Text
from agentos.data.sources.record import BadRecord
from protocols.errors import DataError

GOOD = b'{"text": "good words", "label": "a"}\n'


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(source: Source) -> DataError:
    with pytest.raises(DataError) as caught:
        list(source.documents())
    return caught.value


def outcomes(source: Source) -> list[str]:
    return [r.message if isinstance(r, DataError) else r.text for r in source.records()]


# --- finding files ---


def test_missing_path_is_refused_with_the_closest_name(tmp_path: Path) -> None:
    put(tmp_path / "train.jsonl", GOOD)
    error = refusal(Jsonl(path=str(tmp_path / "trian.jsonl")))
    assert "trian.jsonl" in error.message
    assert error.hint == "did you mean 'train.jsonl'?"


def test_missing_folder_is_refused_without_a_traceback_of_the_search(tmp_path: Path) -> None:
    assert "no file or folder" in refusal(Text(path=str(tmp_path / "a" / "b"))).message


@pytest.mark.parametrize("kind", [Text, Jsonl, Csv, Parquet])
def test_empty_folder_is_refused_naming_the_pattern(tmp_path: Path, kind: Any) -> None:
    error = refusal(kind(path=str(tmp_path)))
    assert str(tmp_path) in error.message
    assert "**/*." in str(error.expected)


def test_folder_and_glob_read_files_in_order_and_pass_hidden_ones_over(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/2.jsonl", "a/1.jsonl", ".cache/x.jsonl", "notes.txt"):
        put(tmp_path / name, GOOD)
    ids = ["a/1.jsonl:1", "a/2.jsonl:1", "b.jsonl:1"]
    assert [d.id for d in Jsonl(path=str(tmp_path)).documents()] == ids
    assert [d.id for d in Jsonl(path=f"{tmp_path}/**/*.jsonl").documents()] == ids
    assert [d.id for d in Jsonl(path=f"{tmp_path}/a/*.jsonl").documents()] == [
        "1.jsonl:1",
        "2.jsonl:1",
    ]


def test_relative_path_is_resolved_against_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "data" / "x.jsonl", GOOD)
    monkeypatch.chdir(tmp_path)
    assert len(list(Jsonl(path="data/x.jsonl").documents())) == 1


def test_ids_do_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    for place in ("here", "there"):
        put(tmp_path / place / "x.jsonl", GOOD)
    here, there = (list(Jsonl(path=str(tmp_path / p)).documents()) for p in ("here", "there"))
    assert here == there


# --- text ---


def test_text_units_are_documents_paragraphs_or_lines(tmp_path: Path) -> None:
    path = put(tmp_path / "a.txt", "one\ntwo\n\n \nthree\r\n\n")
    read = {
        unit: [(d.id, d.text) for d in Text(path=str(path), unit=unit).documents()]  # type: ignore[arg-type]
        for unit in ("document", "paragraph", "line")
    }
    assert read["document"] == [("a.txt", "one\ntwo\n\n \nthree\r\n\n")]
    assert read["paragraph"] == [("a.txt:1", "one\ntwo"), ("a.txt:5", "three")]
    assert read["line"] == [("a.txt:1", "one"), ("a.txt:2", "two"), ("a.txt:5", "three")]


def test_text_label_is_the_name_of_the_folder(tmp_path: Path) -> None:
    put(tmp_path / "sci" / "space" / "1.txt", "words")
    (document,) = Text(path=str(tmp_path), label_from_folder=True).documents()
    assert document == Document("sci/space/1.txt", "words", "space")


def test_text_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = put(tmp_path / "a.txt", b"\xef\xbb\xbfwords")
    for unit in ("document", "line"):
        (document,) = Text(path=str(path), unit=unit).documents()  # type: ignore[arg-type]
        assert document.text == "words"


@pytest.mark.parametrize("unit", ["document", "paragraph", "line"])
def test_text_in_another_encoding_is_refused_naming_file_and_line(
    tmp_path: Path, unit: Any
) -> None:
    path = put(tmp_path / "a.txt", b"plain\n\ncaf\xe9 au lait\n")
    error = refusal(Text(path=str(path), unit=unit))
    assert error.message == f"{path}, line 3: not UTF-8 text"
    assert error.actual == "byte 0xe9"
    assert "UTF-8" in str(error.hint)


@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_empty_text_file_is_refused_naming_it(tmp_path: Path, content: bytes) -> None:
    path = put(tmp_path / "a.txt", content)
    assert f"{path}, line 1" in refusal(Text(path=str(path))).message


def test_bad_text_file_leaves_the_others_readable(tmp_path: Path) -> None:
    put(tmp_path / "1.txt", "first")
    put(tmp_path / "2.txt", b"\xff\xfe\x00")
    put(tmp_path / "3.txt", "third")
    got = outcomes(Text(path=str(tmp_path)))
    assert got[0] == "first"
    assert "2.txt, line 1: not UTF-8" in got[1]
    assert got[2] == "third"


# --- jsonl ---


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"text": "cut of', "not valid JSON"),
        (b'["text"]', "not a JSON object"),
        (b'{"txt": "words"}', "has no column 'text'"),
        (b'{"text": null, "label": "a"}', "the text cannot be used"),
        (b'{"text": 3, "label": "a"}', "the text cannot be used"),
        (b'{"text": "words", "label": null}', "the label cannot be used"),
        (b'{"text": "words", "label": ["a"]}', "the label cannot be used"),
        (b'{"text": "caf\xe9", "label": "a"}', "not UTF-8 text"),
        (b"[" * 200_000, "not valid JSON"),
    ],
)
def test_bad_jsonl_line_is_refused_naming_it_and_the_rest_is_readable(
    tmp_path: Path, line: bytes, complaint: str
) -> None:
    path = put(tmp_path / "a.jsonl", GOOD + b"\n" + line + b"\n" + GOOD)
    source = Jsonl(path=str(path), label="label")
    error = refusal(source)
    assert f"{path}, line 3" in error.message
    assert complaint in error.message
    assert len(outcomes(source)) == 3
    assert outcomes(source)[2] == "good words"


def test_missing_jsonl_column_names_those_there_are_and_the_closest(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", GOOD)
    error = refusal(Jsonl(path=str(path), label="lable"))
    assert error.actual == "text, label"
    assert error.hint == "did you mean 'label'?"


def test_jsonl_label_may_be_a_number(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", json.dumps({"text": "words", "label": 7}))
    assert next(Jsonl(path=str(path), label="label").documents()).label == "7"


def test_jsonl_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", '{"text": "one\u2028two"}\r\n')
    (document,) = Jsonl(path=str(path)).documents()
    assert document.text == "one\u2028two"


@pytest.mark.parametrize("kind", [Jsonl, Csv])
def test_empty_table_file_is_refused_naming_it(tmp_path: Path, kind: Any) -> None:
    path = put(tmp_path / "a", b"")
    assert refusal(kind(path=str(path))).message == f"{path}, line 1: the file is empty"


# --- csv ---


def test_csv_field_may_hold_quotes_delimiters_and_line_breaks(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", 'label;text\nx;"one ""two""; \nthree"\n\ny;four\n')
    documents = list(Csv(path=str(path), label="label", delimiter=";").documents())
    assert documents == [
        Document("a.csv:2", 'one "two"; \nthree', "x"),
        Document("a.csv:5", "four", "y"),
    ]


def test_csv_long_field_is_read_whole(tmp_path: Path) -> None:
    long = "word " * 100_000  # the csv module stops at 131,072 characters unless told otherwise
    path = put(tmp_path / "a.csv", f"text\n{long}\n")
    (document,) = Csv(path=str(path)).documents()
    assert document.text == long


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (b"a,b,c\n", "wrong number of columns"),
        (b"caf\xe9,x\n", "not UTF-8 text"),
        (b"words,\n", "the label cannot be used"),
    ],
)
def test_bad_csv_row_is_refused_naming_its_line_and_the_rest_is_readable(
    tmp_path: Path, row: bytes, complaint: str
) -> None:
    path = put(tmp_path / "a.csv", b'text,label\n"two\nlines",x\n' + row + b"good,x\n")
    source = Csv(path=str(path), label="label")
    error = refusal(source)
    assert error.message == f"{path}, line 4: {complaint}"
    assert [r.text for r in source.records() if isinstance(r, Document)] == ["two\nlines", "good"]


def test_csv_column_that_is_not_there_is_refused_even_where_records_are_skipped(
    tmp_path: Path,
) -> None:
    path = put(tmp_path / "a.csv", "body,label\nwords,x\n")
    with pytest.raises(DataError, match="line 1 has no column 'text'") as caught:
        list(Csv(path=str(path)).records())
    assert caught.value.actual == "body, label"


def test_csv_quote_left_open_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", 'text\n"never closed\nand on\n')
    assert "not valid CSV" in refusal(Csv(path=str(path))).message


def test_csv_with_a_header_alone_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "text,label\n")
    assert "the file is empty" in refusal(Csv(path=str(path))).message


# --- parquet ---


def parquet(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_column_that_is_not_there_names_those_there_are(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": ["words"], "target": [1]})
    error = refusal(Parquet(path=str(path), label="targets"))
    assert str(path) in error.message
    assert (error.actual, error.hint) == ("text, target", "did you mean 'target'?")


def test_parquet_text_column_of_another_type_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": [1, 2]})
    error = refusal(Parquet(path=str(path)))
    assert "is not text" in error.message
    assert error.actual == "int64"


def test_parquet_row_without_text_is_refused_naming_it(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": ["words", None, "more"]})
    source = Parquet(path=str(path))
    assert f"{path}, row 2" in refusal(source).message
    assert [r.text for r in source.records() if isinstance(r, Document)] == ["words", "more"]


def test_parquet_dictionary_and_large_strings_are_text(tmp_path: Path) -> None:
    texts = pa.array(["words", "more"], pa.large_string())
    labels = pa.array(["x", "x"]).dictionary_encode()
    path = parquet(tmp_path / "a.parquet", {"text": texts, "label": labels})
    documents = list(Parquet(path=str(path), label="label").documents())
    assert [(d.text, d.label) for d in documents] == [("words", "x"), ("more", "x")]


@pytest.mark.parametrize("content", [b"", b"not parquet at all", b"PAR1\x00\x00PAR1"])
def test_file_that_is_not_parquet_is_refused_naming_it(tmp_path: Path, content: bytes) -> None:
    path = put(tmp_path / "a.parquet", content)
    assert f"{path}, after row 0" in refusal(Parquet(path=str(path))).message


def test_parquet_without_rows_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": pa.array([], pa.string())})
    assert "the file is empty" in refusal(Parquet(path=str(path))).message


def test_first_documents_come_before_the_end_is_read(tmp_path: Path) -> None:
    put(tmp_path / "1.jsonl", GOOD)
    put(tmp_path / "2.jsonl", b"not JSON")
    stream = Jsonl(path=str(tmp_path)).documents()
    assert next(stream).text == "good words"
    with pytest.raises(DataError, match=r"2\.jsonl, line 1"):
        next(stream)


# --- encodings, compression, reasons ---


@pytest.mark.parametrize("kind", [Text, Jsonl, Csv])
def test_named_encoding_is_read(tmp_path: Path, kind: Any) -> None:
    content = {Text: "café à", Jsonl: '{"text": "café à"}\n', Csv: "text\ncafé à\n"}[kind]
    path = put(tmp_path / "x", content.encode("cp1252"))
    error = refusal(kind(path=str(path)))
    assert "data.source.encoding, such as cp1252" in str(error.hint)
    (document,) = kind(path=str(path), encoding="cp1252").documents()
    assert document.text == "café à"
    assert kind(path="x", encoding="UTF8").encoding == "utf-8"


@pytest.mark.parametrize("kind", [Text, Jsonl, Csv])
def test_bytes_outside_the_named_encoding_are_refused(tmp_path: Path, kind: Any) -> None:
    content = {Text: b"a\n\x81", Jsonl: b'{"text": "a"}\n"\x81"', Csv: b"text\n\x81\n"}[kind]
    path = put(tmp_path / "x", content)
    error = refusal(kind(path=str(path), encoding="cp1252"))
    assert error.message == f"{path}, line 2: not CP1252 text"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-99", "base64"])
def test_encoding_without_lines_is_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match=encoding):
        Jsonl(path="x", encoding=encoding)


def test_compressed_files_are_read_beside_plain_ones(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", GOOD)
    put(tmp_path / "b.jsonl.gz", gzip.compress(GOOD))
    assert [d.id for d in Jsonl(path=str(tmp_path)).documents()] == ["a.jsonl:1", "b.jsonl.gz:1"]
    put(tmp_path / "c.csv.gz", gzip.compress(b"text\nwords\n"))
    put(tmp_path / "d.txt.gz", gzip.compress(b"words\n"))
    for source in (Csv(path=str(tmp_path)), Text(path=str(tmp_path))):
        assert [d.text.strip() for d in source.documents()] == ["words"]


@pytest.mark.parametrize("kind", [Text, Jsonl, Csv])
def test_compressed_file_that_is_cut_short_is_refused(tmp_path: Path, kind: Any) -> None:
    rows = "".join(f'{{"text": "{number}"}}\n' for number in range(5000))
    content = rows if kind is Jsonl else rows.replace("{", "").replace('"', "")
    path = put(tmp_path / "x.gz", gzip.compress(content.encode())[:-40])
    error = refusal(kind(path=str(path), **({"text": "text: 0}"} if kind is Csv else {})))
    assert "damaged or cut short" in error.message
    path.write_bytes(b"not compressed")
    assert "damaged or cut short" in refusal(kind(path=str(path))).message


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "cut', "json"),
        (b"[]", "json"),
        (b"{}", "missing_column"),
        (b'{"text": 1, "label": "a"}', "text"),
        (b'{"text": "a", "label": null}', "label"),
        (b"caf\xe9", "encoding"),
        (b"", "empty_file"),
    ],
)
def test_bad_records_name_a_reason_to_count(tmp_path: Path, line: bytes, reason: str) -> None:
    path = put(tmp_path / "x.jsonl", line)
    (record,) = Jsonl(path=str(path), label="label").records()
    assert isinstance(record, BadRecord)
    assert pickle.loads(pickle.dumps(record)).reason == record.reason == reason


def test_other_delimiter_is_suggested(tmp_path: Path) -> None:
    path = put(tmp_path / "x.csv", "text;label\na;b\n")
    assert "set data.source.delimiter" in str(refusal(Csv(path=str(path))).hint)
    assert [d.text for d in Csv(path=str(path), delimiter=";").documents()] == ["a"]
