"""The description of the machine."""

from __future__ import annotations

from pathlib import Path

from agentos.records.environment import environment, processor


def test_processor_is_named_with_the_features_that_matter(tmp_path: Path) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text(
        "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 sse avx512_bf16 avx512f\n\n"
    )
    assert processor(described) == "AMD EPYC (avx2, avx512f, avx512_bf16)"
    assert processor(tmp_path / "none")
    assert environment()["processor"] == processor()
