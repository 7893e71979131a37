"""Trees in a file without a name: the same bits come back, and room is used again."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
import torch

from agents.hosting.pytree import tree_bytes
from agents.hosting.spill_file import SpillFile
from protocols.errors import RuntimeFailure


def tree(size: int) -> dict[str, object]:
    return {
        "parameters": torch.randn(size),
        "moments": [{"step": torch.tensor(3.0), "half": torch.ones(3, dtype=torch.bfloat16)}],
        "memory": {2: (1, np.arange(4)), "empty": torch.empty(0), "name": None},
        "strided": torch.arange(6).view(2, 3).T,
    }


def test_tree_comes_back_with_the_same_types_and_bits():
    written = tree(1000)
    with SpillFile() as file:
        read = file.read(file.write(written))
    assert list(read) == list(written)
    assert torch.equal(read["parameters"], written["parameters"])
    assert torch.equal(read["strided"], written["strided"])
    assert read["moments"][0]["step"].shape == ()
    assert read["moments"][0]["half"].dtype is torch.bfloat16
    assert read["memory"][2][0] == 1
    assert read["memory"][2][1].tolist() == [0, 1, 2, 3]
    assert read["memory"]["empty"].shape == (0,)
    assert read["memory"]["name"] is None


def test_tree_that_is_read_is_a_copy():
    with SpillFile() as file:
        slot = file.write({"values": torch.zeros(4)})
        file.read(slot)["values"].add_(1)
        assert file.read(slot)["values"].tolist() == [0, 0, 0, 0]


def test_room_is_used_again_so_the_file_does_not_grow():
    with SpillFile() as file:
        slots = [file.write(tree(5000)) for _ in range(4)]
        held = file.held_bytes
        for _ in range(20):
            for slot in slots:
                file.free(slot)
            slots = [file.write(tree(5000)) for _ in range(4)]
        assert file.held_bytes == held
        assert os.fstat(file._file.fileno()).st_size <= held
        assert held <= 1.25 * 4 * tree_bytes(tree(5000)) + 4 * 4096


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes on closing")
def test_file_has_no_name_in_its_folder(tmp_path):
    with SpillFile(str(tmp_path)) as file:
        file.write(tree(100))
        assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_told_with_the_field_to_set(tmp_path):
    with pytest.raises(RuntimeFailure, match=r"runtime\.spill_folder"):
        SpillFile(str(tmp_path / "missing"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_full_disk_is_told_in_words():
    with SpillFile() as file:
        file._file.close()
        file._file = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115
        with pytest.raises(RuntimeFailure, match="No space left"):
            file.write(tree(100))
