"""Links in a run folder of a stranger: nothing outside the folder is read, changed or removed."""

from __future__ import annotations

import os
import shutil

import pytest

from agentos.records.atomic_files import inside, require_inside
from agentos.records.checkpoints import CHECKPOINTS, Manifest, checkpoints_of, copy
from agentos.records.reader import load_run
from agentos.records.recorder import Recorder
from agentos.records.saved_encoders import find_encoder
from agentos.reporting.report import write_report
from agentos.rounds.resumption import branch, resumption
from agentos.web.run_records import RunRecords
from agents.hosting.state_file import state_file
from protocols.errors import AgentOSError, RecordError

PLACES = (
    *("checkpoints/together-99999", "health.jsonl", "tensorboard", "report.html", "config.yaml"),
    *("encoders/agent-0", "metrics.jsonl", ".report.html.1.tmp", "similarity.json", "isolated"),
)


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("place", PLACES)
def test_a_link_out_of_a_run_folder_is_refused_before_anything_is_touched(
    finished, tmp_path, place
):
    run, victim = tmp_path / "run", tmp_path / "victim"
    shutil.copytree(finished.directory, run)
    path = run / place
    if path.is_dir():
        shutil.move(path, victim)
    else:
        victim.mkdir()
        (victim / "manifest.json").write_text('{"precious": 1}')
        shutil.copy2(path if path.is_file() else run / "network.json", victim / "file")
        path.unlink(missing_ok=True)
    path.symlink_to(victim / "file" if (victim / "file").is_file() and "." in place else victim)
    before = contents(tmp_path)
    for act in (
        lambda: load_run(run),
        lambda: write_report(run),
        lambda: resumption(run, 1),
        lambda: branch(run, 1, 9, afresh=False),
        lambda: Recorder(run).go_on({"together": -1, "isolated": -1}),
        lambda: Recorder(run, overwrite=True).claim(),
        lambda: find_encoder(run),
    ):
        with pytest.raises(AgentOSError) as error:
            act()
        assert error.value.hint
    assert contents(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("place", ["network.json", "metrics.jsonl", "checkpoints/stray"])
def test_a_pipe_in_a_run_folder_is_refused_and_not_waited_for(finished, tmp_path, place):
    run = tmp_path / "run"
    shutil.copytree(finished.directory, run)
    (run / place).unlink(missing_ok=True)
    os.mkfifo(run / place)
    for act in (
        lambda: load_run(run),
        lambda: write_report(run),
        lambda: find_encoder(run),
        lambda: Recorder(run, overwrite=True).claim(),
        *([lambda: RunRecords(run)] if place == "network.json" else []),
    ):
        with pytest.raises(RecordError, match="is not a regular file"):
            act()


@pytest.mark.parametrize("place", ["network.json", "metrics.jsonl"])
def test_the_live_page_follows_no_link_out_of_a_run_folder(finished, tmp_path, place):
    run = tmp_path / "run"
    shutil.copytree(finished.directory, run)
    shutil.move(run / place, tmp_path / place)
    (run / place).symlink_to(tmp_path / place)
    with pytest.raises(RecordError, match="leads out"):
        RunRecords(run).read()


def test_links_within_a_folder_and_to_the_folder_itself_are_taken(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished.directory, run)
    (run / "latest").symlink_to("checkpoints")
    (tmp_path / "alias").symlink_to(run)
    assert load_run(tmp_path / "alias").metrics
    require_inside(tmp_path / "alias")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x"])
def test_paths_out_of_a_folder_are_refused(tmp_path, path):
    with pytest.raises(RecordError, match="leads out"):
        inside(tmp_path, tmp_path / path)
    assert inside(tmp_path, tmp_path / "a" / ".." / "b")


def test_only_files_that_a_manifest_names_are_copied(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished.directory, run)
    chosen = checkpoints_of(run)[-1]
    (chosen.directory / "stray").write_text("not ours")
    copied = copy(chosen, tmp_path / "branch", afresh=False)
    assert sorted(path.name for path in copied.directory.iterdir()) == sorted(
        ["manifest.json", "ledger.parquet", *map(state_file, chosen.manifest.agents)]
    )


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "", ".", ".."])
def test_a_manifest_names_files_and_no_paths(name):
    with pytest.raises(ValueError):
        Manifest(arm="together", round=1, agents={}, ledger="", files={name: ""})


def test_a_stale_checkpoint_that_is_a_link_is_removed_without_what_it_leads_to(tmp_path):
    from agentos.records.checkpoints import _remove

    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "manifest.json").write_text("{}")
    (tmp_path / CHECKPOINTS).mkdir()
    link = tmp_path / CHECKPOINTS / "together-00001"
    link.symlink_to(victim)
    _remove(link)
    assert not os.path.lexists(link)
    assert (victim / "manifest.json").exists()


def test_a_second_name_of_a_record_elsewhere_keeps_its_content(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished.directory, run)
    (run / "restarts.jsonl").write_text('{"round": 1, "why": "lost"}\n')
    names = ("metrics.jsonl", "timings.jsonl", "health.jsonl", "restarts.jsonl")
    for name in names:
        os.link(run / name, tmp_path / name)
    before = {name: (tmp_path / name).read_bytes() for name in names}
    with Recorder(run) as recorder:
        recorder.go_on({"together": 0, "isolated": -1})
        recorder.health(1, {}, {})
    assert {name: (tmp_path / name).read_bytes() for name in names} == before
    assert (run / "restarts.jsonl").read_text()
