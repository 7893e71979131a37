from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from agentos.data.config import DataConfig
from agentos.data.partition import PARTITIONS, Dirichlet, Iid
from agentos.data.sources import SOURCES, Parquet
from agentos.data.sources.docstrings import Docstrings


def test_defaults_are_docstrings_divided_at_random() -> None:
    config = DataConfig()
    assert (config.source, config.partition) == (Docstrings(), Iid())


def test_yaml_of_the_manual_is_accepted() -> None:
    config = DataConfig.model_validate(
        {
            "source": {
                "kind": "parquet",
                "path": "train.parquet",
                "text": "text",
                "label": "label",
            },
            "partition": {"kind": "dirichlet", "alpha": 0.3},
            "anchors": 256,
        }
    )
    assert config.source == Parquet(path="train.parquet", label="label")
    assert config.partition == Dirichlet(alpha=0.3)


def test_written_configuration_reads_back() -> None:
    config = DataConfig(source=Parquet(path="a.parquet"), partition=Dirichlet(alpha=2.0), limit=9)
    assert DataConfig.model_validate(config.model_dump(mode="json")) == config
    assert config.model_dump()["source"]["path"] == "a.parquet"


@pytest.mark.parametrize(
    "change",
    [
        {"anchors": -1},
        {"heldout": 0.0},
        {"heldout": 1.0},
        {"limit": 0},
        {"on_bad_record": "ignore"},
        {"anchor": 3},
        {"source": {"kind": "parquet", "path": "a", "colum": "text"}},
        {"partition": {"kind": "dirichlet", "alpha": 0.0}},
        {"tokenizer": {"kind": "unigram"}},
    ],
)
def test_values_out_of_range_and_unknown_keys_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataConfig.model_validate(change)


def test_schema_names_every_kind_and_describes_every_field() -> None:
    schema = str(DataConfig.model_json_schema())
    for kind in (*SOURCES, *PARTITIONS):
        assert f"'{kind}'" in schema
    for cls in (DataConfig, *SOURCES.values(), *PARTITIONS.values()):
        for name, field in cls.model_fields.items():
            assert field.description or name == "kind", f"{cls.__name__}.{name}"


def test_configuration_imports_nothing_heavy() -> None:
    heavy = "torch ray sklearn datasets pandas matplotlib transformers tokenizers pyarrow scipy"
    code = f"import sys, agentos.data.config as c; print(set('{heavy}'.split()) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
