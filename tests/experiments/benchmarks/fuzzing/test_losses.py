"""The table of tries and losses, and what counts as a change of the disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from experiments.benchmarks.fuzzing.crash_points import Tried
from experiments.benchmarks.fuzzing.disk_steps import confined
from experiments.benchmarks.fuzzing.fuzz import TARGETS, Outcome
from experiments.benchmarks.fuzzing.losses import INPUTS, table


def test_every_target_is_tried_and_all_together_two_thousand_times() -> None:
    assert INPUTS.keys() == TARGETS.keys()
    assert sum(INPUTS.values()) >= 2000


def test_table_sums_tries_and_names_losses() -> None:
    bad = Outcome(Counter({"taken": 3, "refused: DataError": 4, "FAILED: KeyError": 1}))
    bad.findings.append((b"x", "rows.csv: KeyError: 'a'"))
    killed = [Tried("ray", 3, 9, "same"), Tried("ray", 4, 9, "other metrics, resumed")]
    text = table(
        {"bombs": bad, "links": Outcome(Counter({"taken": 5}))},
        killed,
        [],
        "python -m losses --seed 7",
    )
    assert "--seed 7" in text
    assert "| bombs | 8 | 3 | 4 | 1 | 0.0 s |" in text
    assert "| runs killed at a step, 1 settings | 2 | 1 | 0 | 1 |" in text
    assert "| all | 15 | | | 2 |" in text
    assert "- rows.csv: KeyError: 'a'" in text
    assert "- ray, step 4: other metrics, resumed" in text


def test_changes_outside_are_listed_and_those_within_are_not(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("before")
    with confined() as changes:
        folder = Path(tempfile.mkdtemp())
        (folder / "a").write_text("a")
        (folder / "a").rename(folder / "b")
        shutil.rmtree(folder)
        outside.read_text()
        assert changes == []
        outside.write_text("after")
        os.chmod(outside, 0o600)
        outside.unlink()
    assert [change.split()[0] for change in changes] == ["open", "os.chmod", "os.remove"]
    outside.write_text("unwatched")
    assert len(changes) == 3
    assert Path(tempfile.gettempdir()) != folder.parent
