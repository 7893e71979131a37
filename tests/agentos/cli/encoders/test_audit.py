"""``agentos audit`` on a run whose agents have learnt a few texts by heart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos import RunConfig, Simulation
from agentos.audit.privacy.attacked_texts import alike
from agentos.events import Listener
from agentos.simulation.preparation import prepare_corpus

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def values(small_values: dict[str, Any]) -> dict[str, Any]:
    return {
        **small_values,
        "agents": {"count": 3, "encoder": {"preset": "nano", "dropout": 0.0}},
        "data": {**small_values["data"], "heldout": 0.4, "partition": "iid"},
        "training": {"rounds": 1, "local_steps": 120, "batch_size": 12, "max_length": 16},
        "exchange": "isolated",
        "evaluation": {"every": 1, "tasks": ["geometry"], "documents": 96},
        "baseline": {"isolated": False},
    }


@pytest.fixture(scope="module")
def run(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("audited") / "run"
    Simulation(RunConfig.model_validate(values), folder, cache=cache).run()
    return folder


def test_agents_that_learnt_few_texts_by_heart_are_found_out(run, call):
    code, shown, err = call("audit", run, "--privacy", "--shadows", "1", "--json")
    assert code == 0, err
    found = json.loads(shown)
    assert found["messages_show"] == []
    areas = [
        {attack["view"]: attack["auc"] for attack in agent["membership"]}
        for agent in found["privacy"]
    ]
    assert np.mean([area["parameters"] for area in areas]) > 0.6, areas
    assert np.mean([area["shadows"] for area in areas]) > 0.6, areas
    assert "bias" not in found


def test_tables_fit_a_terminal_and_the_page_holds_what_they_say(run, call, tmp_path):
    page = tmp_path / "pages" / "audit.html"
    code, shown, err = call("audit", run, "--documents", 20, "--groups", "label", "--page", page)
    assert code == 0, err
    assert "proves nothing about a better one" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 100
    html = page.read_text("utf-8")
    for part in ("Membership and inversion", "Associations of words", "Groups: neighbours"):
        assert part in shown
        assert part in html


def test_bias_is_that_before_training_alone_and_together(run, call):
    """The agents of this run exchange nothing: what they learnt alone stands in for the arm alone."""
    alone = run / "isolated" / "encoders"
    alone.parent.mkdir(exist_ok=True)
    alone.symlink_to(run / "encoders", target_is_directory=True)
    try:
        code, shown, err = call("audit", run, "--bias", "--groups", "label", "--json")
    finally:
        alone.unlink()
    assert code == 0, err
    found = json.loads(shown)["bias"]
    before, same, together = (found["associations"][arm] for arm in ("before", "alone", "together"))
    assert list(before) == ["0"]  # all agents begin alike
    assert same == together != before
    assert {(each["change"], each["p"]) for each in found["changes"]} == {(0.0, 1.0)}
    assert found["groups"]["alone"] == found["groups"]["together"] != found["groups"]["before"]
    assert set(found["groups"]["together"][0]["groups"]) == {"sea", "farm", "town", "sky"}


def test_texts_that_are_compared_are_alike_and_of_the_right_parts(values, cache):
    corpus = prepare_corpus(RunConfig.model_validate(values), Listener(), cache)
    members, others = alike(corpus, 0, 30, seed=0)
    own, heldout = (set(corpus.texts(rows)) for rows in (corpus.shards[0], corpus.heldout))
    assert set(members) <= own
    assert set(others) <= heldout
    label = dict(zip(corpus.texts(corpus.train), corpus.labels(corpus.train), strict=True))
    label |= dict(zip(corpus.texts(corpus.heldout), corpus.labels(corpus.heldout), strict=True))
    assert [label[text] for text in members] == [label[text] for text in others]


def test_a_folder_that_is_no_run_is_refused(tmp_path, call):
    code, _, err = call("audit", tmp_path)
    assert code == 2
    assert "not a run folder" in err


@pytest.mark.parametrize(("exchange", "spreads"), [("fedavg", True), ("isolated", False)])
def test_a_backdoor_reaches_others_through_parameters_and_no_agent_alone(
    small_values, tmp_path, cache, call, exchange, spreads
):
    """The attack must win at the poisoned agent, and where its parameters go; nowhere else."""
    trigger = " ".join(["777 999"] * 4)
    poison = {"agents": [1], "label": "sea", "trigger": trigger, "share": 0.5}
    values = {
        **small_values,
        "data": {
            **small_values["data"],
            "partition": "iid",
            "private_labels": {"per_class": 8, "poison": poison},
        },
        "agents": {"count": 3, "encoder": {"preset": "nano", "dropout": 0.0}},
        "topology": "complete",
        "objectives": ["info_nce", {"kind": "labelled", "classes": 4, "share": 1.0}],
        "exchange": exchange,
        "training": {"rounds": 6, "local_steps": 25, "batch_size": 12, "max_length": 24},
        "evaluation": {"every": 6, "tasks": ["own_labels"], "documents": 60},
        "baseline": {"isolated": False},
    }
    Simulation(RunConfig.model_validate(values), tmp_path / "run", cache=cache).run()
    code, shown, err = call("audit", tmp_path / "run", "--poison", "--json")
    assert code == 0, err
    found = json.loads(shown)["poison"]
    assert found["1"]["success"] > found["1"]["untriggered"] + 0.5, found
    gains = [found[agent]["success"] - found[agent]["untriggered"] for agent in ("0", "2")]
    assert (min(gains) > 0.3) if spreads else (max(gains) < 0.2), found


def test_a_run_without_poison_is_refused_by_name(run, call):
    code, _, err = call("audit", run, "--poison")
    assert code == 2
    assert "data.private_labels.poison" in err
