"""Damage and lies: from valid bytes to bytes that no reader may act on.

Blind mutations know nothing of a format. Those of a safetensors file (a checkpoint) rewrite its header and
the JSON texts within it, and fix the length before it, so that they reach the checks behind. For those of
messages see `experiments.benchmarks.fuzzing.message_mutations`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import yaml

Rng = np.random.Generator
Mutation = Callable[[bytes, Rng, Sequence[bytes]], bytes]

HOSTILE: tuple[Any, ...] = (
    *(0, 1, -1, 2, 255, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, -(2**63), 10**18, 10**40),
    *(0.0, -0.0, 0.5, 1.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    *(
        True,
        False,
        None,
        "",
        "0",
        "1",
        "F64",
        "U8",
        "F16",
        "detached",
        "\0",
        "\ud800",
        "é",
        "x" * 3000,
    ),
    *([], {}, [0], [1], [0, 0], [-8, 8], [2**40, 2**41], [1] * 9, [2**32, 2**32], {"kind": "int8"}),
    *({"kind": "pca", "dimensions": 2**40}, {"kind": "top_k", "share": 0.001}, {"kind": "fp16"}),
)
DEEP = 20_000
_INTERESTING = np.array([0x00, 0x01, 0x7F, 0x80, 0xFF, 0x22, 0x2C, 0x5B, 0x7B, 0x7D], np.uint8)
FLOATS = np.array([np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, -0.0, 1e30], np.float32)


def flip_bits(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Flip one to eight bits."""
    data = np.frombuffer(buffer, np.uint8).copy()
    if data.size:
        places = rng.integers(data.size, size=rng.integers(1, 9))
        data[places] ^= (1 << rng.integers(8, size=len(places))).astype(np.uint8)
    return data.tobytes()


def overwrite(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Overwrite a few bytes with bytes that have a meaning in some format."""
    data = np.frombuffer(buffer, np.uint8).copy()
    if data.size:
        start = int(rng.integers(data.size))
        width = int(rng.integers(1, 17))
        data[start : start + width] = rng.choice(_INTERESTING, size=len(data[start:][:width]))
    return data.tobytes()


def truncate(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Cut the end off, or the beginning."""
    at = int(rng.integers(len(buffer) + 1))
    return buffer[:at] if rng.random() < 0.8 else buffer[at:]


def extend(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Put bytes in, or some of it twice."""
    at = int(rng.integers(len(buffer) + 1))
    start, width = int(rng.integers(len(buffer) + 1)), int(rng.integers(1, 200))
    more = buffer[start : start + width] if rng.random() < 0.5 else rng.bytes(width)
    return buffer[:at] + more + buffer[at:]


def splice(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Join the head of one with the tail of another."""
    other = others[int(rng.integers(len(others)))]
    if rng.random() < 0.5:  # the header of one, the data of the other
        return buffer[: _start(buffer)] + other[_start(other) :]
    return buffer[: rng.integers(len(buffer) + 1)] + other[rng.integers(len(other) + 1) :]


def lie_about_length(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Claim another length of the header: a byte more, or terabytes."""
    length = int.from_bytes(buffer[:8], "little")
    claims = (0, 1, length - 1, length + 1, 2 * length, 2**20, 2**20 + 1, 2**31, 2**40, 2**64 - 1)
    claim = claims[rng.integers(len(claims))] % 2**64
    return claim.to_bytes(8, "little") + buffer[8:]


def change_numbers(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Write numbers that are not finite, or extreme, into the data."""
    start = _start(buffer)
    data = np.frombuffer(buffer, np.uint8)[start:].copy()
    whole = data[: len(data) // 4 * 4].view("<f4")
    if whole.size:
        whole[rng.integers(whole.size, size=3)] = rng.choice(FLOATS, size=3)
    return buffer[:start] + data.tobytes()


def edit_header(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Change a value, a key or a text somewhere in the header's JSON, texts of JSON in it included."""
    header = _header(buffer)
    if header is None:
        return flip_bits(buffer, rng, others)
    for _ in range(int(rng.integers(1, 4))):
        header = edited(header, rng)
    return _with_header(buffer, _text(header))


def claim_sizes(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Claim arrays of other shapes, places and types, with offsets that fit the lie or do not."""
    header = _header(buffer)
    names = [name for name in header or {} if name != "__metadata__"]
    if header is None or not names:
        return edit_header(buffer, rng, others)
    name = names[rng.integers(len(names))]
    rank = int(rng.integers(0, 11))
    sizes = rng.choice(np.array([0, 1, 2, 3, 2**16, 2**31, 2**40], object), size=rank)
    shape = [int(size) for size in sizes]
    dtype = str(rng.choice(["F64", "F32", "F16", "I64", "U8", "BF16", "BOOL"]))
    begin = int(rng.choice(np.array([0, 0, 0, -64, 4, 2**40], object)))
    span = int(np.prod(np.array(shape, object))) * int(rng.choice([1, 2, 4, 8]))
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + span]}
    return _with_header(buffer, _text(header))


def break_json(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Repeat a key, nest deeply, or write text that Python reads and JSON forbids."""
    text = buffer[8 : _start(buffer)].decode("utf-8", "replace").rstrip()
    places = [index + 1 for index, each in enumerate(text) if each in "{:,["] or [0]
    at = places[rng.integers(len(places))]
    inserts = (
        *('"dtype":"F32",', '"version":"1",', "NaN", "Infinity,", "-", "1e999,", "9" * 5000),
        *("[" * DEEP, '{"a":' * DEEP, "[" * DEEP + "]" * DEEP + ",", '"\\ud800",', "\\", "/**/"),
    )
    return _with_header(buffer, text[:at] + inserts[rng.integers(len(inserts))] + text[at:])


def edit_text(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Change a value, a key or a text in JSON, in one of its lines, or in YAML."""
    text = buffer.decode("utf-8", "replace")
    lines = text.splitlines(keepends=True) or [""]
    at = int(rng.integers(len(lines)))
    try:
        return _text(edited(json.loads(text), rng)).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        pass
    try:
        lines[at] = _text(edited(json.loads(lines[at]), rng)) + "\n"
        return "".join(lines).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        pass
    try:
        value = edited(yaml.safe_load(text), rng)
        return str(yaml.safe_dump(value)).encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, RecursionError, ValueError):
        return flip_bits(buffer, rng, others)


def edit_field(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Change a field of a line whose fields commas, tabs or spaces part."""
    lines = buffer.decode("utf-8", "replace").splitlines() or [""]
    at = int(rng.integers(len(lines)))
    by = next((mark for mark in "\t, " if mark in lines[at]), ",")
    fields = lines[at].split(by)
    fields[rng.integers(len(fields))] = str(HOSTILE[rng.integers(len(HOSTILE))])
    lines[at] = by.join(fields)
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def replace(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Put something else in its place: nothing, another value, another encoding, or what nests."""
    texts = (
        *(b"", b"\0", b"\xff\xfe\0", b"[" * DEEP, b"[]", b"{}", b"null", b"9" * 5000, b"\n" * 99),
        *(buffer.decode("utf-8", "replace").encode("utf-16"), b"\xef\xbb\xbf" + buffer, b"PK\3\4"),
    )
    return texts[rng.integers(len(texts))]


BLIND: tuple[Mutation, ...] = (flip_bits, overwrite, truncate, extend, splice)
SAFETENSORS: tuple[Mutation, ...] = (
    *BLIND,
    lie_about_length,
    change_numbers,
    edit_header,
    edit_header,
    edit_header,
    claim_sizes,
    break_json,
)
"""Mutations of safetensors files; those that reach deepest come most often."""
TEXTUAL: tuple[Mutation, ...] = (*(edit_text,) * 6, edit_field, edit_field, truncate, replace)
"""Mutations of files that people can read."""


def mutate(
    buffer: bytes, rng: Rng, others: Sequence[bytes], mutations: Sequence[Mutation]
) -> bytes:
    """Apply one mutation, or a few.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> mutate(b"some bytes", rng, [b"others"], BLIND) != b"some bytes"
        True
    """
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        buffer = mutations[int(rng.integers(len(mutations)))](buffer, rng, others)
    return buffer


def _start(buffer: bytes) -> int:
    """Return the offset of the data that the buffer claims."""
    return min(len(buffer), 8 + int.from_bytes(buffer[:8], "little"))


def _header(buffer: bytes) -> dict[str, Any] | None:
    try:
        header = json.loads(buffer[8 : _start(buffer)])
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def _with_header(buffer: bytes, text: str) -> bytes:
    header = text.encode("utf-8", "surrogatepass")
    header += b" " * (-(8 + len(header)) % 64)
    return len(header).to_bytes(8, "little") + header + buffer[_start(buffer) :]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def edited(value: Any, rng: Rng) -> Any:
    """Return a value of lists, mappings and scalars with one change somewhere in it."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return _text(edited(json.loads(value), rng))  # a text that is JSON itself
        except (ValueError, RecursionError):
            pass
    if rng.random() < 0.25 or not isinstance(value, (dict, list)) or not value:
        return HOSTILE[rng.integers(len(HOSTILE))]
    if isinstance(value, list):
        at = int(rng.integers(len(value)))
        return [*value[:at], edited(value[at], rng), *value[at + 1 :]]
    keys = list(value)
    key, other = (keys[rng.integers(len(keys))] for _ in range(2))
    rest = {name: each for name, each in value.items() if name != key}
    kind = rng.random()
    if kind < 0.1:
        return rest
    if kind < 0.2:
        return {**rest, f"{key}_": value[key]}
    if kind < 0.3:
        return {**value, key: value[other]}
    return {**value, key: edited(value[key], rng)}
