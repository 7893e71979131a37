"""A run that stopped goes on as if it never had; another branches off from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos import RunConfig, Simulation
from agentos.config.load import load
from agentos.evaluation import OwnLabels
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.events import Listener
from agentos.records.checkpoint_config import CheckpointConfig
from agentos.records.checkpoints import CHECKPOINTS, checkpoints_of
from agentos.records.identity.fingerprint import read_fingerprints
from agentos.records.reader import load_run
from agentos.records.reports import RoundReport
from agentos.rounds.resumption import Resumption, branch, resumption
from agentos.simulation.preparation import heldout_of, prepare_corpus
from protocols.errors import ConfigurationError, DataError, RecordError

pytestmark = pytest.mark.usefixtures("no_report")

ROUNDS = 4
FILES = ("metrics.jsonl", "isolated/metrics.jsonl", "embeddings.safetensors", "similarity.json")


class PowerCut(BaseException):
    """Nothing that anybody catches."""


class StopsAt(Listener):
    """Cuts the power after a round of an arm was recorded."""

    def __init__(self, arm: str, round: int) -> None:
        self.at = (arm, round)

    def on_round(self, report: RoundReport) -> None:
        if (report.arm, report.round) == self.at:
            raise PowerCut


@pytest.fixture
def longer(small: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """A run of four rounds with a checkpoint after every second."""
    parts: dict[str, Any] = {
        "checkpoints": {"every": 2, "keep": 3},
        "evaluation": {"every": 2, "tasks": ["geometry"], "documents": 40},
    }

    def make(**overrides: Any) -> RunConfig:
        training = {"rounds": ROUNDS, "local_steps": 1, **overrides.pop("training", {})}
        return small(**{**parts, "training": training, **overrides})

    return make


def stop(config: RunConfig, directory: Path, cache: Path, arm: str, round: int) -> None:
    with pytest.raises(PowerCut):
        Simulation(config, directory, StopsAt(arm, round), cache=cache).run()


def branch_to(directory: Path, config: RunConfig, round: int) -> Resumption:
    before = load(str(directory / "config.yaml"))
    afresh = config.exchange != before.exchange
    return branch(directory, round, config.training.rounds, afresh)


def go_on(config: RunConfig, directory: Path, cache: Path, round: int | None = None) -> Any:
    return Simulation(config, directory, cache=cache).run(resumption(directory, round))


def without_times(summary: dict[str, Any]) -> dict[str, Any]:
    times = ("wall_s", "round_s", "phase_s")
    kept = {key: value for key, value in summary.items() if key not in times}
    kept["isolated"] = {k: v for k, v in summary["isolated"].items() if k != "wall_s"}
    return kept


def assert_same_run(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    left, right = load_run(one), load_run(other)
    assert left.ledger is not None
    assert right.ledger is not None
    assert left.ledger.rows() == right.ledger.rows()
    assert left.summary is not None
    assert right.summary is not None
    assert without_times(left.summary) == without_times(right.summary)
    for path in sorted((one / "encoders").rglob("*.safetensors")):
        twin = other / path.relative_to(one)
        assert path.read_bytes() == twin.read_bytes(), path.name


@pytest.fixture(scope="module")
def kept() -> dict[bool, Path]:
    """Runs that went through, with and without a baseline; no test may change their folders."""
    return {}


@pytest.fixture
def went_through(
    longer: Callable[..., RunConfig],
    kept: dict[bool, Path],
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[bool], Path]:
    """Return the folder of a run that nothing stopped."""

    def of(isolated: bool) -> Path:
        if isolated not in kept:
            kept[isolated] = tmp_path_factory.mktemp("through") / "run"
            config = longer() if isolated else longer(baseline={"isolated": False})
            Simulation(config, kept[isolated], cache=cache).run()
        return kept[isolated]

    return of


@pytest.mark.parametrize(
    ("arm", "round"),
    [
        ("together", 1),  # before the first checkpoint
        ("together", 3),
        ("isolated", 0),  # the run itself was complete
    ],
)
def test_run_that_was_cut_off_ends_as_if_it_never_had_been(
    longer: Callable[..., RunConfig],
    went_through: Callable[[bool], Path],
    cache: Path,
    tmp_path: Path,
    arm: str,
    round: int,
) -> None:
    config = longer()
    stop(config, tmp_path / "run", cache, arm, round)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"round": 4, "agent": "agen')  # the last words of a process that was killed
    result = go_on(config, tmp_path / "run", cache)
    assert result.status == "finished"
    assert_same_run(tmp_path / "run", went_through(True))


def test_earlier_checkpoint_leads_to_the_same_end(
    longer: Callable[..., RunConfig],
    went_through: Callable[[bool], Path],
    cache: Path,
    tmp_path: Path,
) -> None:
    shutil.copytree(went_through(True), tmp_path / "run")
    *_, latest = (c for c in checkpoints_of(tmp_path / "run") if c.manifest.arm == "together")
    config = longer()
    go_on(config, tmp_path / "run", cache, round=latest.manifest.round)
    assert_same_run(tmp_path / "run", went_through(True))


def test_run_that_was_taken_back_and_cut_off_goes_on_from_where_its_records_end(
    longer: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    evaluation = {"every": 3, "tasks": ["geometry"], "documents": 40, "between_agents": False}
    checkpoints = {"every": 1, "keep": 20}
    config = longer(training={"rounds": 3}, evaluation=evaluation, checkpoints=checkpoints)
    Simulation(config, tmp_path / "run", cache=cache).run()
    files = FILES[:2]
    before = [(tmp_path / "run" / name).read_bytes() for name in files]
    back = resumption(tmp_path / "run", round=1)
    with pytest.raises(PowerCut):
        Simulation(config, tmp_path / "run", StopsAt("together", 2), cache=cache).run(back)
    # The checkpoints of the rounds to come, and those of the baseline, are of a past that is undone.
    assert [c.progress for c in checkpoints_of(tmp_path / "run")] == [(0, 1)]
    go_on(config, tmp_path / "run", cache)
    assert [(tmp_path / "run" / name).read_bytes() for name in files] == before


def test_checkpoint_that_is_half_removed_is_none(
    longer: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = longer(baseline={"isolated": False}, checkpoints={"every": 1, "keep": 1})

    def cut(folder: Path, ignore_errors: bool = False) -> None:
        if folder.is_dir():
            raise PowerCut

    monkeypatch.setattr("agentos.records.checkpoints.shutil.rmtree", cut)
    with pytest.raises(PowerCut):
        Simulation(config, tmp_path / "run", cache=cache).run()
    assert (tmp_path / "run" / CHECKPOINTS / "together-00001").is_dir()
    assert [c.manifest.round for c in checkpoints_of(tmp_path / "run")] == [2]


def test_only_so_many_checkpoints_are_kept_and_those_to_fork_from_outlive_the_run(
    longer: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    def kept() -> list[str]:
        return sorted(path.name for path in (tmp_path / "run" / CHECKPOINTS).iterdir())

    config = longer(checkpoints={"every": 1, "keep": 2}, training={"rounds": 3})
    stop(config, tmp_path / "run", cache, "isolated", 3)
    assert kept() == ["isolated-00001", "isolated-00002", "together-00002", "together-00003"]
    go_on(config, tmp_path / "run", cache)
    assert kept() == ["together-00002", "together-00003"]


def test_half_written_checkpoint_is_passed_over(
    longer: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    config = longer(baseline={"isolated": False})
    stop(config, tmp_path / "run", cache, "together", 4)
    torn = tmp_path / "run" / CHECKPOINTS / "together-00003"
    shutil.copytree(tmp_path / "run" / CHECKPOINTS / "together-00002", torn)
    (torn / "manifest.json").write_text("{")
    assert [c.manifest.round for c in checkpoints_of(tmp_path / "run")] == [2]
    assert go_on(config, tmp_path / "run", cache).rounds == ROUNDS


def test_damaged_checkpoint_is_named_and_nothing_is_lost(
    longer: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    config = longer()
    stop(config, tmp_path / "run", cache, "together", 3)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    bad = tmp_path / "run" / CHECKPOINTS / "together-00002" / "agent-1.safetensors"
    bad.write_bytes(bad.read_bytes()[:-1] + b"?")
    with pytest.raises(RecordError, match=r"agent-1\.safetensors cannot be read"):
        go_on(config, tmp_path / "run", cache)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["agent-1.safetensors", "ledger.parquet"])
def test_run_goes_on_from_an_earlier_checkpoint_when_a_file_of_the_latest_is_damaged(
    name: str, copied: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = (copied / "metrics.jsonl").read_bytes()
    *_, earlier, latest = checkpoints_of(copied)
    bad = latest.directory / name
    bad.write_bytes(bad.read_bytes()[:-1] + b"?")
    found = resumption(copied)
    assert found.last_round("together") == earlier.manifest.round
    assert f"{bad} cannot be read" in caplog.text
    Simulation(load(str(copied / "config.yaml")), copied, cache=cache).run(found)
    assert (copied / "metrics.jsonl").read_bytes() == whole


def test_run_that_finished_is_not_resumed(
    went_through: Callable[[bool], Path], tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match="has finished"):
        resumption(went_through(False))
    with pytest.raises(ConfigurationError, match="no checkpoint after round 1") as caught:
        resumption(went_through(False), round=1)
    assert "4" in str(caught.value.expected)
    with pytest.raises(RecordError, match="not a run folder"):
        resumption(tmp_path / "nowhere")


def test_branch_shares_the_rounds_before_and_goes_its_own_way(
    longer: Callable[..., RunConfig],
    went_through: Callable[[bool], Path],
    cache: Path,
    tmp_path: Path,
) -> None:
    run = went_through(False)
    other = longer(baseline={"isolated": False}, exchange={"kind": "fedavg"})
    found = branch_to(run, other, round=2)
    Simulation(other, tmp_path / "fork", cache=cache).run(found)
    before, after = load_run(run), load_run(tmp_path / "fork")
    assert after.config["exchange"]["kind"] == "fedavg"
    for round in range(ROUNDS + 1):
        left = [row["loss"] for row in before.metrics if row["round"] == round and "loss" in row]
        right = [row["loss"] for row in after.metrics if row["round"] == round and "loss" in row]
        # The steps of round 3 come before the first exchange of another kind; what agents remember of the
        # old one is gone.
        assert (left == right) == (round <= 2), round
    assert before.ledger is not None
    assert after.ledger is not None
    assert after.ledger.cumulative()[:2] == before.ledger.cumulative()[:2]
    assert set(after.ledger.by_kind()) == {"embeddings", "weights"}


def test_branch_that_is_cut_off_goes_on_as_a_branch(
    longer: Callable[..., RunConfig],
    went_through: Callable[[bool], Path],
    cache: Path,
    tmp_path: Path,
) -> None:
    run = went_through(False)
    other = longer(baseline={"isolated": False}, topology={"kind": "complete"})
    through, cut = tmp_path / "through", tmp_path / "cut"
    Simulation(other, through, cache=cache).run(branch_to(run, other, round=2))
    with pytest.raises(PowerCut):
        Simulation(other, cut, StopsAt("together", 3), cache=cache).run(
            branch_to(run, other, round=2)
        )
    go_on(other, cut, cache)
    assert (cut / "metrics.jsonl").read_bytes() == (through / "metrics.jsonl").read_bytes()


def test_branch_of_a_run_that_is_no_longer_is_refused(
    longer: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    config = longer()
    stop(config, tmp_path / "run", cache, "together", 3)
    with pytest.raises(ConfigurationError, match="nothing left to do"):
        branch_to(tmp_path / "run", longer(training={"rounds": 2}), round=2)
    with pytest.raises(ConfigurationError, match="no checkpoint after round 3"):
        branch_to(tmp_path / "run", config, round=3)


@pytest.mark.parametrize(
    ("every", "due"), [(0, []), (1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])]
)
def test_checkpoints_are_due_every_so_often_and_at_the_end(every: int, due: list[int]) -> None:
    config = CheckpointConfig(every=every)
    assert [round for round in range(6) if config.is_due(round, 5, local_steps=1)] == due


@pytest.mark.parametrize(
    ("local_steps", "rounds", "due"),
    [(50, 9, [4, 8, 9]), (1000, 2, [1, 2]), (60, 3, []), (67, 3, [3])],
)
def test_checkpoints_keep_to_their_share_of_the_bytes_that_steps_write(
    local_steps: int, rounds: int, due: list[int]
) -> None:
    config = CheckpointConfig(share=1 / 200)
    found = [r for r in range(rounds + 1) if config.is_due(r, rounds, local_steps)]
    assert found == due


def test_finished_run_keeps_no_checkpoint_unless_it_is_told_to(
    longer: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    class Looks(Listener):
        def on_stage(self, what: str) -> None:
            during.extend(path.name for path in folder.glob("checkpoints/*"))

    during: list[str] = []
    folder = tmp_path / "run"
    config = longer(baseline={"isolated": False}, checkpoints={"every": 1})
    Simulation(config, folder, Looks(), cache=cache).run()
    assert {"together-00003", "together-00004"} == set(during)
    assert not (folder / CHECKPOINTS).exists()
    with pytest.raises(ConfigurationError, match="no checkpoint after round 3") as caught:
        branch(folder, 3, rounds=5, afresh=False)
    assert "checkpoints.keep" in str(caught.value.hint)


@pytest.fixture(scope="module")
def killed(
    tmp_path_factory: pytest.TempPathFactory,
    small: Callable[..., RunConfig],
    cache: Path,
) -> Path:
    """The folder of a run that was killed in its fourth round, with checkpoints after rounds 1 to 3."""
    config = small(
        checkpoints={"every": 1, "keep": 9},
        evaluation={"every": 2, "tasks": ["geometry"], "documents": 40, "between_agents": False},
        training={"rounds": ROUNDS, "local_steps": 1},
        baseline={"isolated": False},
    )
    folder = tmp_path_factory.mktemp("killed") / "run"
    stop(config, folder, cache, "together", 4)
    return folder


@pytest.fixture
def copied(killed: Path, tmp_path: Path) -> Path:
    shutil.copytree(killed, tmp_path / "run")
    return tmp_path / "run"


def keep_rounds(folder: Path, name: str, last: int) -> None:
    lines = (folder / name).read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["round"] <= last]
    (folder / name).write_text("".join(kept), "utf-8")


@pytest.mark.parametrize("name", ["metrics.jsonl", "health.jsonl"])
def test_run_goes_on_from_the_latest_checkpoint_that_its_records_agree_with(
    name: str, copied: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = (copied / "metrics.jsonl").read_bytes()
    keep_rounds(copied, name, 2)
    config = load(str(copied / "config.yaml"))
    found = resumption(copied)
    assert found.last_round("together") == 2
    assert f"{name} is not what it was" in caplog.text
    assert "together-00003" in caplog.text
    Simulation(config, copied, cache=cache).run(found)
    assert (copied / "metrics.jsonl").read_bytes() == whole


def test_run_whose_records_agree_with_no_checkpoint_is_refused_untouched(copied: Path) -> None:
    keep_rounds(copied, "metrics.jsonl", 0)
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    with pytest.raises(RecordError, match=r"metrics\.jsonl is not what it was") as caught:
        resumption(copied)
    assert "restore metrics.jsonl" in str(caught.value.hint)
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("go", [resumption, lambda run, round: branch(run, round, 9, False)])
def test_round_whose_records_were_changed_is_refused(go: Any, copied: Path) -> None:
    text = (copied / "metrics.jsonl").read_text("utf-8")
    (copied / "metrics.jsonl").write_text(text.replace('"loss": 2', '"loss": 1'), "utf-8")
    with pytest.raises(RecordError, match=r"metrics\.jsonl is not what it was"):
        go(copied, round=2)


def test_manifest_that_cannot_be_read_is_told(
    copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = copied / CHECKPOINTS / "together-00003" / "manifest.json"
    manifest.write_text("{", "utf-8")
    assert resumption(copied).last_round("together") == 2
    assert f"{manifest} cannot be read" in caplog.text


def test_records_are_on_disk_before_the_manifest_that_relies_on_them(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr("agentos.records.atomic_files.os.fsync", note)
    config = small(training={"rounds": 1, "local_steps": 1}, baseline={"isolated": False})
    Simulation(config, tmp_path / "run", cache=cache).run()
    drafts = [i for i, name in enumerate(synced) if name.startswith(".manifest.json.")]
    assert len(drafts) == 1
    assert {"metrics.jsonl", "health.jsonl", "agent-0.safetensors"} <= {*synced[: drafts[0]]}


def test_branch_cut_off_before_its_first_round_is_no_run(
    copied: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(str(copied / "config.yaml"))
    found = branch_to(copied, config, round=2)

    def cut(*_: Any) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr("agentos.rounds.resumption.copy", cut)
        with pytest.raises(PowerCut):
            Simulation(config, tmp_path / "fork", cache=cache).run(found)
    with pytest.raises(RecordError, match="stopped before its first round"):
        resumption(tmp_path / "fork")
    Simulation(config, tmp_path / "fork", cache=cache).run(found)
    Simulation(config, copied, cache=cache).run(resumption(copied))
    assert (tmp_path / "fork/metrics.jsonl").read_bytes() == (copied / "metrics.jsonl").read_bytes()


def changed_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the corpus hold other held-out documents than the run has read."""
    from agentos.data.corpus import Corpus

    texts = Corpus.texts

    def other(self: Corpus, rows: Any) -> list[str]:
        return [f"{text} changed" for text in texts(self, rows)]

    monkeypatch.setattr(Corpus, "texts", other)


@pytest.mark.parametrize("branches", [False, True])
def test_run_on_text_that_changed_is_refused_before_anything_is_touched(
    branches: bool,
    copied: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = load(str(copied / "config.yaml"))
    out = tmp_path / "fork" if branches else copied

    def start(**ok: bool) -> Resumption:
        if branches:
            return branch(copied, 2, ROUNDS, False, **ok)
        return resumption(copied, 2, **ok)

    changed_text(monkeypatch)
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="no longer what it read") as caught:
        Simulation(config, out, cache=cache).run(start())
    assert "the held-out documents" in str(caught.value.actual)
    left = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    left.pop(copied / ".lock", None)
    before.pop(copied / ".lock", None)
    assert left == before
    assert out == copied or not out.exists()
    assert Simulation(config, out, cache=cache).run(start(changed_data_ok=True)).rounds == ROUNDS
    assert "no longer what it read" in caplog.text
    assert len(read_fingerprints(out)) == 2


def test_run_with_own_labels_goes_on_to_the_bit_and_its_saved_classifiers_answer_alike(
    longer: Callable[..., RunConfig],
    small_values: dict[str, Any],
    cache: Path,
    tmp_path: Path,
) -> None:
    config = longer(
        data={**small_values["data"], "private_labels": {"per_class": 2}},
        objectives=["info_nce", {"kind": "labelled", "classes": 4}],
        exchange={"kind": "pseudo_labels", "classes": 4, "labels": "own"},
        evaluation={"every": 2, "tasks": ["own_labels"], "documents": 40},
        training={"precision": "fp32"},  # as a saved encoder embeds
    )
    through = tmp_path / "through"
    Simulation(config, through, cache=cache).run()
    stop(config, tmp_path / "run", cache, "together", 3)
    go_on(config, tmp_path / "run", cache)
    assert_same_run(tmp_path / "run", through)
    lines = (through / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["round"] == ROUNDS]
    assert len(rows) == 4
    heldout = heldout_of(config, prepare_corpus(config, Listener(), cache))
    for row in rows:
        folder = through / "encoders" / row["agent"]
        encoder = LoadedEncoder.load(str(folder))
        for name, value in OwnLabels().evaluate(encoder, heldout, config.seed).items():
            assert row[name] == pytest.approx(value, abs=1e-5)
        assert (folder / "classifier" / "model.safetensors").is_file()
