"""A society that was saved answers as before, and a changed file is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos.tasks.config import Task
from agentos.tasks.cooperation import Queries
from agentos.tasks.society.fitted_society import FittedSociety, better
from agentos.tasks.society.saved_society import load_society, save_society
from agents.answering import DEFERRALS, FUSIONS
from protocols.errors import RecordError

CLASSES = 3


def task(**fields: Any) -> Task:
    return Task.model_validate(
        {
            "library": {"models": ["somewhere"]},
            "task": {
                "kind": "classify",
                "source": {"kind": "jsonl", "path": "x", "label": "label"},
            },
            **fields,
        }
    )


def fitted(bench: Any, **fields: Any) -> FittedSociety:
    config = task(**fields)
    evidence = bench.evidence.__class__(
        *(
            getattr(bench.evidence, name)
            for name in ("fit", "fit_labels", "calibrate", "calibrate_labels")
        ),
        config.fuse,
        0,
    )
    names = [f"class {number}" for number in range(CLASSES)]
    return FittedSociety.fitted(config, bench.panel.members, names, evidence)


@pytest.mark.parametrize(
    ("fuse", "defer"),
    [
        *((fuse, "confidence") for fuse in sorted(FUSIONS)),
        *(("stacking", d) for d in sorted(DEFERRALS)),
    ],
)
def test_saved_society_answers_to_the_same_bits(
    bench: Any, tmp_path: Path, fuse: str, defer: str
) -> None:
    society = fitted(bench, fuse=fuse, defer=defer).choosing("layered")
    save_society(society, tmp_path)
    again = load_society(tmp_path)
    assert again.chosen == "layered"
    assert again.classes == society.classes
    queries = Queries("query", np.arange(20))
    for name in society.architectures:
        first = society.answer(queries, bench.panel.embed, name)
        second = again.answer(queries, bench.panel.embed, name)
        assert np.array_equal(first.answers.probabilities, second.answers.probabilities)
        assert np.array_equal(first.said, second.said)
        assert np.array_equal(first.flops, second.flops)
        assert first.simulated_s == second.simulated_s


def test_own_kinds_are_read_again_where_their_package_is_trusted(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from typing import Literal\nfrom agents.answering import FUSIONS as F\n"
    code += "class Calm(F['stacking']):\n"
    (tmp_path / "fusion_of_mine.py").write_text(f"{code}    kind: Literal['calm'] = 'calm'\n")
    monkeypatch.syspath_prepend(tmp_path)
    from fusion_of_mine import Calm  # type: ignore[import-not-found]

    save_society(fitted(bench, fuse=Calm()), tmp_path / "saved")
    with pytest.raises(RecordError, match="--trust-plugins fusion_of_mine"):
        load_society(tmp_path / "saved")
    again = load_society(tmp_path / "saved", ["fusion_of_mine"])
    assert type(again.config.fuse) is Calm
    sys.modules.pop("fusion_of_mine")


def test_changed_or_foreign_files_are_refused(bench: Any, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no society"):
        load_society(tmp_path)
    save_society(fitted(bench), tmp_path)
    values, arrays = tmp_path / "society.json", tmp_path / "society.safetensors"
    kept = values.read_text()
    changed = bytearray(arrays.read_bytes())
    changed[-1] ^= 1
    good = arrays.read_bytes()
    arrays.write_bytes(changed)
    with pytest.raises(RecordError, match=r"society\.json"):
        load_society(tmp_path)
    arrays.write_bytes(good)
    for broken in (
        kept[: len(kept) // 2],
        "[1]",
        json.dumps({**json.loads(kept), "format": 2}),
        kept.replace('"FittedSociety"', '"Popen"'),
        kept.replace('"Linear"', '"NoSuchClass"').replace('"Head"', '"Message"'),
    ):
        values.write_text(broken)
        with pytest.raises(RecordError, match=r"society\.json"):
            load_society(tmp_path)
    values.write_text(kept)
    assert load_society(tmp_path).chosen == "single"


def test_cheapest_of_the_equally_good_is_chosen() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(400) < 0.6
    better_one = base | (rng.random(400) < 0.3)
    right = {"single": base, "layered": better_one, "peer": better_one.copy()}
    flops = {"single": 1.0, "layered": 2.0, "peer": 5.0}
    assert better(right, flops, one_is_enough=False) == "layered"
    assert better(right, flops, one_is_enough=True) == "single"
    assert better({**right, "layered": base}, flops, one_is_enough=False) == "peer"
