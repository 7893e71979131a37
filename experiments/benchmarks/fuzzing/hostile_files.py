"""Targets of the fuzzer: configurations, files of data, and bombs of a few bytes that mean gigabytes."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from agentos.config.load import load
from agentos.config.task_file import load_task
from agentos.data.cleaning.clean import clean
from agentos.data.cleaning.html import looks_like_html, strip_html
from agentos.data.sources import Csv, Jsonl, Parquet, Text
from agentos.data.sources.opening import ending
from agentos.evaluation.beir import read_folder
from agentos.evaluation.task_files import read_documents, read_pairs
from agentos.rounds.clock.trace import read_trace
from agents.text.tokenizer_bounds import require_bounded
from experiments.benchmarks.fuzzing.fuzz_targets import Read, Samples, Target
from experiments.benchmarks.fuzzing.mutations import BLIND, TEXTUAL, Rng
from protocols.errors import AgentOSError
from protocols.topologies.from_file import FromFile

ROOT = Path(__file__).parents[3]
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, 1),
    ".bz2": bz2.compress,
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".zst": lambda data: bytes(pa.compress(data, "zstd", asbytes=True)),
}
AGENTS = 4
EDGES = ((0, 1), (1, 2), (2, 3))


@contextmanager
def _configurations() -> Iterator[tuple[Samples, Read]]:
    runs = sorted(ROOT.glob("experiments/*.yaml"))
    tasks = sorted(ROOT.glob("experiments/tasks/*.yaml"))
    loaders = {path.name: load for path in runs} | {path.name: load_task for path in tasks}
    with TemporaryDirectory() as folder:

        def read(kind: str, data: bytes) -> str:
            path = Path(folder) / kind
            path.write_bytes(data)
            loaders[kind](str(path))
            return "taken"

        yield [(path.name, path.read_bytes()) for path in (*runs, *tasks)], read


def read_data(path: Path) -> None:
    """Read a file with the reader that its name is about."""
    name, kind = path.name, ending(path)
    if name.startswith("trace"):
        read_trace(path, [(agent,) for agent in range(AGENTS)], "speed")
    elif name.startswith("links"):
        read_trace(path, EDGES, "latency_s")
    elif name.startswith("graph"):
        FromFile(path=path).build(AGENTS, 0)
    elif name.startswith("pairs"):
        read_pairs(str(path), "a", "b", "value")
    elif name.startswith("held"):
        read_documents(path)
    elif name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv"):
        read_folder(str(path.parent), "qrels.tsv")
    elif kind == ".parquet":
        list(Parquet(path=str(path), label="label").documents())
    elif kind in (".csv", ".tsv"):
        list(Csv(path=str(path), label="label").documents())
    elif kind == ".jsonl":
        list(Jsonl(path=str(path), label="label").documents())
    else:
        list(Text(path=str(path), unit="line").documents())


def data_files(folder: Path) -> list[tuple[str, bytes]]:
    """Return a valid file of every kind that is read, compressed in every way."""
    rows = [{"text": f"words of text {row}, é", "label": f"c{row % 3}"} for row in range(9)]
    pairs = [{"a": "one text", "b": "other text", "value": 0.5 * row} for row in range(5)]
    tables = {
        "rows.jsonl": _lines(rows),
        "rows.csv": _separated(rows, ","),
        "rows.tsv": _separated(rows, "\t"),
        "rows.txt": "".join(f"{row['text']}\n" for row in rows).encode(),
        "held.jsonl": _lines(rows),
        "held.csv": _separated(rows, ","),
        "pairs.tsv": _separated(pairs, "\t"),
        "trace.csv": _separated([{"agent": n, "speed": 10.5} for n in range(AGENTS)], ","),
        "trace.json": json.dumps([{"agent": n, "speed": 1e3} for n in range(AGENTS)]).encode(),
    }
    found = [
        (name + suffix, compress(data))
        for name, data in tables.items()
        for suffix, compress in COMPRESS.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    links = [{"sender": a, "receiver": b, "latency_s": 0.5} for a, b in EDGES]
    graph = "".join(f'<edge source="{a}" target="{b}"/>' for a, b in EDGES)
    nodes = "".join(f'<node id="{node}"/>' for node in range(AGENTS))
    return [
        *found,
        ("rows.parquet", (folder / "rows.parquet").read_bytes()),
        ("links.yaml", "".join(f"- {json.dumps(link)}\n" for link in links).encode()),
        ("graph.edgelist", b"# nodes\n0 1\n1 2 0.5\n2 3 {'weight': 1}\n"),
        ("graph.csv", b"0,1\n1,2\n2,3\n"),
        (
            "graph.graphml",
            f'<graphml><graph edgedefault="undirected">{nodes}{graph}</graph></graphml>'.encode(),
        ),
        (
            "corpus.jsonl",
            _lines([{"_id": f"d{n}", "title": "t", "text": "words"} for n in range(4)]),
        ),
        ("queries.jsonl", _lines([{"_id": f"q{n}", "text": "a question"} for n in range(2)])),
        ("qrels.tsv", b"query-id\tcorpus-id\tscore\nq0\td1\t1\nq1\td3\t2\n"),
    ]


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _separated(rows: list[dict[str, Any]], by: str) -> bytes:
    lines = [list(rows[0]), *([f'"{value}"' for value in row.values()] for row in rows)]
    return "".join(by.join(line) + "\n" for line in lines).encode()


@contextmanager
def _data_files() -> Iterator[tuple[Samples, Read]]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        samples = data_files(folder)
        for file, content in samples:
            (folder / file).write_bytes(content)
        whole = dict(samples)

        def read(kind: str, data: bytes) -> str:
            (folder / kind).write_bytes(data)
            try:
                read_data(folder / kind)
            finally:
                (folder / kind).write_bytes(whole[kind])
            return "taken"

        yield samples, read


# Bombs: the bytes of an input are a seed


def seed(buffer: bytes, rng: Rng, others: object) -> bytes:
    """Replace the input by eight random bytes."""
    return rng.bytes(8)


def aliases(rng: Rng, folder: Path) -> None:
    """Read YAML whose aliases multiply."""
    width, depth = int(rng.integers(1, 40)), int(rng.integers(1, 300))
    lines = ["l0: &l0 [x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * width)}]" for n in range(1, depth)]
    _load("\n".join(lines), folder)


def nested(rng: Rng, folder: Path) -> None:
    """Read YAML or JSON that nests, or a number, a name or a time without an end."""
    count = int(10 ** rng.uniform(1, 5.5))
    text = str(rng.choice(["[", "{a: ", "- ", "a: ", "? ", "9", "1:", "!!x ", "&a ", "'", "\t"]))
    if rng.random() < 0.5:
        _load(text * count, folder)
    else:
        (folder / "rows.jsonl").write_text('{"text": ' + text * count + "\n", encoding="utf-8")
        read_data(folder / "rows.jsonl")


def expanding(rng: Rng, folder: Path) -> None:
    """Read a compressed file of one character again and again."""
    suffix = str(rng.choice([name for name in COMPRESS if name]))
    kind = str(rng.choice(["rows.jsonl", "rows.csv", "rows.txt", "held.tsv", "trace.json"]))
    unit = bytes(rng.choice([b"a", b"\n", b'{"text": "a"}\n', b"text,label\n", b"[", b" "]))
    path = folder / (kind + suffix)
    path.write_bytes(COMPRESS[suffix](unit * int(2 ** rng.uniform(10, 26.7) / len(unit))))
    read_data(path)


def dictionary(rng: Rng, folder: Path) -> None:
    """Read Parquet in which many rows name one long value."""
    value = "a" * int(2 ** rng.uniform(4, 23))
    rows = np.zeros(int(10 ** rng.uniform(1, 5.5)), np.int32)
    column = pa.DictionaryArray.from_arrays(pa.array(rows), pa.array([value]))
    pq.write_table(pa.table({"text": column, "label": column}), folder / "rows.parquet")
    read_data(folder / "rows.parquet")


def markup(rng: Rng, folder: Path) -> None:
    """Clean a text of constructs of HTML without an end."""
    parts = [
        "<",
        "<!--",
        "<a ",
        "&",
        "<p>",
        "</",
        "<![CDATA[",
        '<a href="',
        "&#0",
        "<p <p",
        "]]>",
        "<?",
    ]
    text = "".join(rng.choice(parts, size=int(rng.integers(1, 4)))) * int(10 ** rng.uniform(2, 5.3))
    if looks_like_html(text + "<p>a</p><b>c</b>"):
        strip_html(text)
    strip_html(text)


def marks(rng: Rng, folder: Path) -> None:
    """Clean a text of marks that stack on a character."""
    drawn = [chr(int(rng.integers(0x300, 0x36F))) for _ in range(3)]
    drawn += ["a", "\u0f71", "\u0e49", "\u200d", "\U0001d165", "\ud800", "\u1100"]
    clean("a" + "".join(rng.choice(drawn, size=2)) * int(10 ** rng.uniform(2, 5.8)))


def tokenizers(rng: Rng, folder: Path) -> None:
    """Cut a text by a tokenizer of replacements that grow and expressions that backtrack."""
    from tokenizers import Regex, Tokenizer, models, normalizers

    drawn = ["(a*)*$", "(a+)+b", "(a|a)*b", "(a|aa)+$", "a*a*a*a*a*b", "(a?){30}b", ".*.*.*b", "a"]
    steps = [
        normalizers.Replace(
            Regex(str(rng.choice(drawn))) if rng.random() < 0.7 else "a",
            "a" * int(rng.integers(0, 4)),
        )
        for _ in range(int(rng.integers(1, 30)))
    ]
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    backend.normalizer = normalizers.Sequence(steps)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    require_bounded(tokenizer)
    tokenizer("a" * 2000)


def endless(rng: Rng, folder: Path) -> None:
    """Read a pipe without a writer, or a device without an end."""
    name = str(rng.choice([name for name, _ in data_files(folder)]))
    path = folder / name
    path.unlink(missing_ok=True)
    kind = rng.integers(3)
    if kind == 0:
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == 1 else "/dev/stdin")
    try:
        (load if rng.random() < 0.2 else lambda _: read_data(path))(str(path))
    finally:
        path.unlink()


BOMBS = (aliases, nested, expanding, dictionary, markup, marks, tokenizers, endless)


def _load(text: str, folder: Path) -> None:
    (folder / "run.yaml").write_text(text, encoding="utf-8")
    load(str(folder / "run.yaml"))


@contextmanager
def _bombs() -> Iterator[tuple[Samples, Read]]:
    bombs = {bomb.__name__: bomb for bomb in BOMBS}
    with TemporaryDirectory() as name:

        def read(kind: str, data: bytes) -> str:
            bombs[kind](np.random.default_rng(list(data)), Path(name))
            return "taken"

        yield [(kind, b"") for kind in bombs], read


FILES = {
    "configurations": Target(
        _configurations, (AgentOSError,), TEXTUAL, most_s=10.0, headroom_mb=1024
    ),
    "files of data": Target(
        _data_files, (AgentOSError,), (*BLIND, *TEXTUAL), most_s=10.0, headroom_mb=1024
    ),
    "bombs": Target(_bombs, (AgentOSError,), (seed,), most_s=30.0, headroom_mb=1024),
}
