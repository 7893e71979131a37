"""The exported classifier: transformers alone loads it, with the probabilities of the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.heads.label_head import LabelHead
from agents.models.heads.saved_heads import load_label_head
from agents.objectives import InfoNCE, Labelled
from agents.training.blueprint import Arm
from protocols.errors import ModelError

NAMES = ("sea", "farm", "town", "sky")
SCRIPT = """
import json, sys, warnings
assert not any(name.split(".")[0] in ("agents", "agentos", "protocols") for name in sys.modules)
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folders, texts = json.loads(sys.argv[1]), json.loads(sys.argv[2])
found = []
for folder in folders:
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    inputs = tokenizer(texts, truncation=True, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = model(**inputs, labels=torch.zeros(len(texts), dtype=torch.int64))
    found.append([output.logits.softmax(-1).tolist(), model.config.id2label, output.loss.item()])
assert not any(name.split(".")[0] in ("agents", "agentos", "protocols") for name in sys.modules)
print(json.dumps(found))
"""
ENCODERS = {
    "bert": EncoderConfig(preset="nano"),
    "cls": EncoderConfig(preset="nano", pooling="cls"),
    "decoder": EncoderConfig(preset="nano-decoder", pooling="last"),
}


@pytest.fixture(scope="module")
def exported(make_host, sentences, tmp_path_factory):
    """Train an agent of each encoder a little; return its folder and its probabilities by encoder."""
    made = {}
    for name in (*ENCODERS, "lora"):
        # Adapters need a loaded encoder: that of the first agent.
        encoder = ENCODERS.get(name) or EncoderConfig(path=str(made["bert"][0]), lora={"rank": 2})
        host = make_host(
            1,
            encoders=(encoder,),
            objectives=(InfoNCE(), Labelled(classes=4)),
            training={"local_steps": 3, "learning_rate": 0.01},
            labels=NAMES,
        )
        host.begin(Arm(Isolated(), 0.0))
        host.train(1)
        folder = tmp_path_factory.mktemp(name)
        scores = host.agents[0].label_scores(sentences[:9])
        host.agents[0].save(folder)
        made[name] = folder, scores
    return made


def test_transformers_loads_the_classifier_without_the_repository(exported, sentences, tmp_path):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME")
    }
    environment |= {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    folders = [str(folder / "classifier") for folder, _ in exported.values()]
    texts = json.dumps(sentences[:9])
    root = str(Path(__file__).parents[4])
    # -I leaves the working folder out of the path, and these lines an editable install of the repository.
    hidden = (
        f"import sys; sys.path[:] = [p for p in sys.path if not p.startswith({root!r} + '/agent')"
        f" and p != {root!r}]; "
        "sys.meta_path[:] = [f for f in sys.meta_path if 'ditable' not in repr(f)]\n"
        "import importlib.util; assert importlib.util.find_spec('agents') is None\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", hidden + SCRIPT, json.dumps(folders), texts],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for (name, (_, scores)), (found, labels, loss) in zip(
        exported.items(), json.loads(done.stdout.splitlines()[-1]), strict=True
    ):
        np.testing.assert_allclose(found, scores.probabilities, rtol=1e-3, atol=1e-5, err_msg=name)
        assert labels == dict(zip("0123", NAMES, strict=True))
        expected = -np.log(scores.probabilities[:, 0]).mean()
        assert loss == pytest.approx(expected, rel=1e-3)
        assert np.ptp(scores.probabilities, axis=0).max() > 0.01  # not the same for every text


@pytest.mark.parametrize("name", ["bert", "cls", "decoder"])
def test_loaded_encoder_classifies_as_the_agent_did(exported, sentences, name):
    folder, scores = exported[name]
    loaded = LoadedEncoder.load(str(folder), max_length=16).label_scores(sentences[:9])
    assert loaded.names == scores.names == NAMES
    np.testing.assert_allclose(loaded.probabilities, scores.probabilities, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(loaded.probabilities.sum(axis=1), 1.0)


def test_exported_tokenizer_truncates_where_the_agent_does(exported):
    folder = exported["bert"][0] / "classifier"
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    assert settings["model_max_length"] == 16
    assert sorted(path.suffix for path in folder.iterdir() if path.suffix == ".py") == [".py"]


def test_agent_without_labels_exports_no_classifier(make_host, tmp_path):
    host = make_host(1)
    host.begin(Arm(Isolated(), 0.0))
    host.agents[0].save(tmp_path)
    assert host.agents[0].label_scores(["wave"]) is None
    assert not (tmp_path / "classifier").exists()
    assert load_label_head(tmp_path) is None
    assert LoadedEncoder.load(str(tmp_path)).label_scores(["wave"]) is None


def test_saved_head_is_loaded_with_its_names_or_refused(exported, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    folder, _ = exported["bert"]
    head, names = load_label_head(folder)
    assert isinstance(head, LabelHead)
    assert names == NAMES
    tensors = load_file(folder / "heads.safetensors")
    assert torch.equal(head.mean, tensors["heads.labels.mean"])
    assert torch.equal(head.linear.weight, tensors["heads.labels.linear.weight"])
    with safe_open(folder / "heads.safetensors", "pt") as file:
        assert json.loads(file.metadata()["labels"]) == list(NAMES)
    save_file(tensors, tmp_path / "heads.safetensors", {"labels": '["one", "two"]'})
    with pytest.raises(ModelError, match="classifier of an agent's own labels cannot be read"):
        load_label_head(tmp_path)
