"""The page of a life: every figure of the records is on it, and nothing of the user's text runs."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from agentos.learning.life_records import EpisodeRecord, LifeRecord
from agentos.learning.outcome.life_charts import charts_of
from agentos.learning.outcome.life_page import write_life_page
from agentos.learning.outcome.life_report import knowledge_rows, write_report

SPENT = {"tokens": 1000, "embedded_tokens": 10, "message_bytes": 2048, "memory_bytes": 4096}


def episode(number: int, accuracies: tuple[float, ...], **changes: Any) -> EpisodeRecord:
    fields: dict[str, Any] = {
        "episode": number,
        "train": 100 + number,
        "labelled": 20,
        "novel": None,
        "automatic": 0,
        "coverage": None,
        "precision": None,
        "spent": {**SPENT, "flops": 3_000_000},
        "outcome": "first",
        "accuracies": accuracies,
        "states": number,
        "digests": {0: "a"},
    }
    return EpisodeRecord.model_validate({**fields, **changes})


def life(*episodes: EpisodeRecord, name: str = "vineyard", tests: int = 3) -> LifeRecord:
    config = {
        "name": name,
        "stream": {"kind": "by_label"},
        "learn": {"kind": "er"},
        "head": "trained",
        "gate": {"drop": 0.05, "examples": "fresh"},
    }
    return LifeRecord(config=config, before=(0.1,) * tests, episodes=episodes)


WHOLE = (
    episode(0, (0.9, 0.0, 0.1)),
    episode(
        1,
        (0.8, 0.7, 0.1),
        outcome="accept",
        gain=0.2,
        p_value=1e-4,
        reasons=("the gain is shown: +60 -10 of 250, p = 0.0001",),
        automatic=40,
        coverage=0.5,
        precision=0.96,
        novel=0.25,
    ),
    episode(2, (0.8, 0.7, 0.1), outcome="refuse", gain=-0.1, p_value=1.0, reasons=("label red loses",)),
)  # fmt: skip


@pytest.fixture
def text(tmp_path: Path):
    """Write the page of a record, and return its text without markup."""

    def of(record: LifeRecord) -> str:
        html = write_life_page(tmp_path, record, ["red", "white"]).read_text(encoding="utf-8")
        body = html[html.index("<main>") : html.index("</main>")]
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())

    return of


def test_figures_of_a_finished_life_are_on_the_page(text) -> None:
    page = text(life(*WHOLE))
    assert "answers 53.3% of the tests" in page  # (0.8 + 0.7 + 0.1) / 3
    assert "Backward transfer −5.0" in page  # ((0.8 - 0.9) + (0.7 - 0.7)) / 2
    assert "Forward transfer −5.0" in page  # ((0.0 - 0.1) + (0.1 - 0.1)) / 2
    assert "Lowest accuracy 75.0%" in page  # (min(0.8, 0.8) + 0.7) / 2
    assert "let in 1 of 2 updates. They gained +20.0 points each" in page
    assert "2 101 20 25.0% 40 50.0% 96.0% let in +20.0 0.0001" in page
    assert "FLOPs 9.00 M 3,000 tokens trained" in page


def test_decisions_are_there_with_their_reasons(text) -> None:
    page = text(life(*WHOLE))
    assert "Episode 2 let in the gain is shown: +60 -10 of 250" in page
    assert "Episode 3 refused label red loses" in page


def test_life_that_learns_nothing_says_so(text) -> None:
    page = text(life(WHOLE[0], WHOLE[2].model_copy(update={"episode": 1})))
    assert "let in 0 of 1 updates. Nothing after the first episode is in force." in page


def test_life_that_goes_on_has_no_figures_of_the_whole(text) -> None:
    page = text(life(*WHOLE[:2]))
    assert "Final accuracy" not in page
    assert "2 of 3 episodes" in page
    assert "No episode is finished yet" in text(life())


def test_records_from_before_operations_were_counted_are_shown(text) -> None:
    assert "1 1,000 10 –" in text(life(episode(0, (0.9, 0.0, 0.1), spent=SPENT)))


def test_near_duplicates_are_told_with_and_without(text, tmp_path: Path) -> None:
    last = WHOLE[2].model_copy(update={"accuracy_with_repeats": 0.75})
    record = life(*WHOLE[:2], last).model_copy(update={"repeated": 1200})
    told = "the accuracy would be 75.0%; without them it is 53.3%"
    assert "1,200 near duplicates" in text(record)
    assert told in text(record)
    assert told in write_report(tmp_path, record, ["red", "white"]).read_text("utf-8")
    assert "near duplicates" not in text(life(*WHOLE))


def test_name_with_markup_is_shown_as_text(tmp_path: Path) -> None:
    html = write_life_page(tmp_path, life(*WHOLE, name="<b>x</b>"), ["red"]).read_text("utf-8")
    assert "<b>x</b>" not in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html


def test_matrix_has_a_row_before_and_after_each_episode() -> None:
    matrix, over, labels = charts_of(life(*WHOLE))
    trace = matrix.traces[0]
    assert trace["y"] == ["before", "after 1", "after 2", "after 3"]
    assert trace["z"] == [[0.1] * 3, [0.9, 0.0, 0.1], [0.8, 0.7, 0.1], [0.8, 0.7, 0.1]]
    assert over.traces[0]["y"] == [0.9, 0.75, 0.5333]  # of one, two and three tests
    assert labels.traces[1]["y"] == [0.96]
    json.dumps([chart.traces for chart in (matrix, over, labels)], allow_nan=False)


def test_life_without_labels_of_its_own_has_no_chart_of_them() -> None:
    assert [chart.id for chart in charts_of(life(WHOLE[0]))] == [
        "accuracy-matrix",
        "accuracy-over-episodes",
    ]
    assert charts_of(life()) == []


def test_knowledge_is_shown_for_updates_that_were_let_in(text, tmp_path: Path) -> None:
    known = {
        "records": 40,
        "digest": "a" * 32,
        "weight": 0.35,
        "accepted_claims": 1234,
        "disputed_claims": 5,
        "retracted_claims": 2,
        "candidate_classes": 1,
        "head_accuracies": (0.6, 0.6, 0.3),
        "agent_accuracy": 0.55,
        "agent_head_accuracy": 0.35,
    }
    changes = ({}, {"outcome": "accept"}, {"outcome": "refuse"})
    record = life(
        *(episode(i, (0.9, 0.6, 0.3), knowledge=known, **each) for i, each in enumerate(changes))
    )
    headings, rows = knowledge_rows(record)
    assert [row[0] for row in rows] == ["1", "2"]
    row = dict(zip(headings, rows[0], strict=True))
    assert (row["accepted claims"], row["weight"]) == ("1,234", "0.35")
    assert (row["accuracy with claims"], row["heads alone"]) == ("60.0%", "50.0%")
    assert (row["each agent with claims"], row["its head alone"]) == ("55.0%", "35.0%")
    assert "1,234" in text(record)
    report = write_report(tmp_path, record, ["red", "white"]).read_text(encoding="utf-8")
    assert "| 2 | 1,234 | 5 | 2 |" in report
    table = report.split("## Knowledge\n\n")[1].splitlines()
    assert table[0] == f"| {' | '.join(headings)} |"
    assert set(table[1]) == set("| -")
    assert table[2:4] == [f"| {' | '.join(row)} |" for row in rows]
    assert "Knowledge" not in text(life(*WHOLE))
