"""The exported joint embedding loads in sentence-transformers and embeds as the run's agents side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agentos.cli.main import app
from agentos.evaluation.joint.joint_encoder import fit_pca, side_by_side
from agentos.evaluation.joint.joint_folder import write_joint_folder
from agentos.evaluation.loaded_encoder import LoadedEncoder
from protocols.errors import ConfigurationError, RecordError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TEXTS = (
    "wave tide ship harbour salt",
    "the farmer ploughs the wheat field before the harvest and then he sleeps " * 9,
    "moon",
)


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="module")
def encoders(finished) -> dict[str, Path]:
    folder = finished.directory / "encoders"
    return {f"agent-{i}": folder / f"agent-{i}" for i in (0, 2)}


def rows_of(encoders: dict[str, Path]) -> list[np.ndarray]:
    return [LoadedEncoder.load(str(folder)).embed(TEXTS) for folder in encoders.values()]


def test_folder_embeds_as_the_encoders_side_by_side(library, encoders, tmp_path) -> None:
    write_joint_folder(tmp_path / "joint", encoders, (1.0, 3.0))
    model = library.SentenceTransformer(str(tmp_path / "joint"), trust_remote_code=True)
    expected = side_by_side(rows_of(encoders), (1.0, 3.0))
    np.testing.assert_allclose(model.encode(list(TEXTS)), expected, atol=1e-5)
    assert model.encode(TEXTS[0]).shape == (128,)
    assert model[0].get_embedding_dimension() == 128
    model.save(str(tmp_path / "again"), create_model_card=False)
    again = library.SentenceTransformer(str(tmp_path / "again"), trust_remote_code=True)
    np.testing.assert_array_equal(again.encode(list(TEXTS)), model.encode(list(TEXTS)))


def test_library_runs_the_code_of_the_folder_only_if_told_to(library, encoders, tmp_path) -> None:
    write_joint_folder(tmp_path / "joint", encoders, (1.0, 1.0))
    if int(library.__version__.split(".")[0]) < 6:
        pytest.skip("earlier versions trust every local folder")
    with pytest.raises(ValueError, match="trust_remote_code"):
        library.SentenceTransformer(str(tmp_path / "joint"))


def test_pca_is_a_layer_of_the_folder(library, encoders, tmp_path) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 128))
    projection = fit_pca(rows, 8)
    write_joint_folder(tmp_path / "joint", encoders, (1.0, 1.0), projection)
    model = library.SentenceTransformer(str(tmp_path / "joint"), trust_remote_code=True)
    expected = projection(side_by_side(rows_of(encoders), (1.0, 1.0)))
    np.testing.assert_allclose(model.encode(list(TEXTS)), expected, atol=1e-5)


def test_command_exports_what_the_run_would_evaluate(library, finished, tmp_path) -> None:
    out = tmp_path / "society"
    arguments = ["export", str(finished.directory), str(out), "--joint", "--among", "neighbours"]
    done = CliRunner().invoke(app, [*arguments, "--agent", "1", "--pca", "12"])
    assert done.exit_code == 0, done.output
    assert "trust_remote_code=True" in done.output
    assert sorted(path.name for path in out.glob("agent-*")) == ["agent-0", "agent-1", "agent-2"]
    model = library.SentenceTransformer(str(out), trust_remote_code=True)
    assert model.encode(list(TEXTS)).shape == (3, 12)
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, RecordError)


def test_command_copies_one_encoder(library, finished, tmp_path) -> None:
    out = tmp_path / "one"
    command = ["export", str(finished.directory), str(out), "--agent", "2", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"encoder": str(out), "trust_remote_code": False}
    expected = LoadedEncoder.load(str(finished.directory / "encoders" / "agent-2")).embed(TEXTS)
    model = library.SentenceTransformer(str(out))
    np.testing.assert_allclose(model.encode(list(TEXTS)), expected, atol=1e-5)
    refused = CliRunner().invoke(
        app, ["export", str(finished.directory), str(out / "x"), "--pca", "3"]
    )
    assert isinstance(refused.exception, ConfigurationError)


def test_mteb_scores_the_folder(library, encoders, tmp_path) -> None:
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset, DatasetDict

    write_joint_folder(tmp_path / "joint", encoders, (1.0, 1.0))
    model = library.SentenceTransformer(str(tmp_path / "joint"), trust_remote_code=True)
    pairs = [
        {"sentence1": a, "sentence2": b, "score": float(i + j)}
        for i, a in enumerate(TEXTS)
        for j, b in enumerate(TEXTS)
    ]

    class Local(mteb.abstasks.AbsTaskSTS):
        metadata = mteb.abstasks.task_metadata.TaskMetadata(
            name="LocalSTS",
            type="STS",
            main_score="cosine_spearman",
            description="Local.",
            dataset={"path": "local/none", "revision": "1"},
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
        )
        min_score, max_score = 0, 4

        def load_data(self, **_):
            self.dataset = DatasetDict({"test": Dataset.from_list(pairs)})
            self.data_loaded = True

    result = mteb.evaluate(model, Local(), cache=None, show_progress_bar=False, co2_tracker=False)
    (scores,) = result.task_results[0].scores["test"]
    joint = side_by_side(rows_of(encoders), (1.0, 1.0)).astype(float)
    cosines = [joint[i] @ joint[j] for i in range(3) for j in range(3)]
    truth = [pair["score"] for pair in pairs]
    pearson = np.corrcoef(cosines, truth)[0, 1]
    assert scores["cosine_pearson"] == pytest.approx(pearson, abs=1e-4)
