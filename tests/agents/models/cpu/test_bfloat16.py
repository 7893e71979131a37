from __future__ import annotations

import logging

import pytest
import torch

from agents.models.cpu.bfloat16 import has_bfloat16_units


@pytest.mark.parametrize("units", [True, False])
def test_bf16_is_autocast_and_warns_on_a_processor_without_units(
    make_host, monkeypatch, caplog, units
):
    monkeypatch.setattr("agents.training.shared_model.has_bfloat16_units", lambda device: units)
    with caplog.at_level(logging.WARNING, logger="agents.training.shared_model"):
        resident = make_host(1, training={"precision": "bf16"}).residents[0]
        make_host(1)
    assert len(caplog.records) == (0 if units else 1)
    with resident.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == torch.bfloat16


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_tile", None])
def test_an_x86_processor_has_units_if_it_has_the_instructions(monkeypatch, instructions):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name in ("avx512_bf16", "amx_tile"):
        found = name == instructions
        monkeypatch.setattr(f"torch.cpu._is_{name}_supported", lambda found=found: found)
    assert has_bfloat16_units(torch.device("cpu")) is (instructions is not None)


def test_any_other_processor_is_what_onednn_says(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    known = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert has_bfloat16_units(torch.device("cpu")) is bool(known)


def test_a_gpu_is_taken_to_have_units():
    assert has_bfloat16_units(torch.device("cuda"))
