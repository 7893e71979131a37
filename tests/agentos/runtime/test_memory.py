"""The memory that a run may count on."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentos.runtime import memory


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_limit_of_a_container_counts_and_none_leaves_that_of_the_machine(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    whole = memory.machine_bytes()
    assert whole > 2**20
    limit = tmp_path / name
    limit.parent.mkdir(exist_ok=True)
    for text, expected in ((str(2**20), 2**20), ("max", whole), (str(2**63 - 4096), whole)):
        limit.write_text(text + "\n", encoding="utf-8")
        assert memory.machine_bytes() == expected
