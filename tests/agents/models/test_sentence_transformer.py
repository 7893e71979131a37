from __future__ import annotations

import json

import pytest

from agents.config import EncoderConfig
from agents.models.sentence_transformer import _check_defaults, pooling_of
from protocols.errors import ModelError


def test_pooling_is_the_configured_or_the_saved_or_the_mean(tmp_path):
    assert pooling_of(EncoderConfig()) == "mean"
    assert pooling_of(EncoderConfig(preset="tiny", pooling="cls")) == "cls"
    assert pooling_of(EncoderConfig(path=str(tmp_path))) == "mean"
    for saved, expected in (
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "lasttoken"}, "last"),
    ):
        (tmp_path / "1_Pooling").mkdir(exist_ok=True)
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(saved))
        assert pooling_of(EncoderConfig(path=str(tmp_path))) == expected


@pytest.mark.parametrize(
    ("saved", "named"),
    [
        ({"model_type": "SparseEncoder"}, "SparseEncoder"),
        ({"truncate_dim": 8}, "truncate_dim"),
        ({"prompts": {"p": "tea "}, "default_prompt_name": "p"}, "p: 'tea '"),
        ({"prompts": {"p": "tea "}}, None),
        ({"prompts": {"p": ""}, "default_prompt_name": "p"}, None),
        ({"prompts": None, "default_prompt_name": "p"}, None),
        ({"model_type": "SentenceTransformer"}, None),
    ],
)
def test_what_changes_every_embedding_is_refused(tmp_path, saved, named):
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(saved))
    config = EncoderConfig(path=str(tmp_path))
    if named is None:
        _check_defaults(config)
        return
    with pytest.raises(ModelError) as caught:
        _check_defaults(config)
    assert named in str(caught.value)


@pytest.mark.parametrize("saved", [{"pooling_mode": "max"}, {"pooling_mode_max_tokens": True}])
def test_a_saved_pooling_that_there_is_not_is_refused_unless_another_is_configured(tmp_path, saved):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(saved))
    with pytest.raises(ModelError, match=r"max.*hint: set encoder\.pooling"):
        pooling_of(EncoderConfig(path=str(tmp_path)))
    assert pooling_of(EncoderConfig(path=str(tmp_path), pooling="mean")) == "mean"
