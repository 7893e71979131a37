from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "tokenizers", "ray", "sklearn", "scipy", "datasets", "pandas")


@pytest.mark.parametrize(
    "modules",
    [
        "agents.exchange",
        "agents.objectives",
        "agents.config, agents.views, agents.training.blueprint",
    ],
)
def test_configuration_imports_neither_torch_nor_transformers(modules):
    assert imported(modules, HEAVY) == ""


def test_coordinator_imports_no_torch():
    """A mistake in the data is reported at once, and on Ray only the hosts import torch."""
    names = ("torch", "peft", "ray", "sklearn", "scipy.stats", "scipy.optimize", "pandas")
    assert imported("agentos.simulation.simulation", names) == ""


def test_hosts_import_only_what_every_run_needs():
    assert imported("agents.hosting.host", ("peft", "sklearn", "scipy.stats", "ray")) == ""


def imported(modules, names):
    """Return those names of modules that importing others imports, too."""
    check = f"import sys, {modules}; print(*(name for name in {names} if name in sys.modules))"
    command = [sys.executable, "-c", check]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


def test_lazy_modules_are_the_real_ones_once_used():
    import torch

    from agents import lazy_torch as lazy

    assert lazy.torch.float32 is torch.float32
    assert lazy.F.normalize is torch.nn.functional.normalize
    assert lazy.nn.Linear is torch.nn.Linear
    assert isinstance(torch.zeros(1), lazy.Tensor)
    assert not isinstance([0.0], lazy.Tensor)
    with pytest.raises(AttributeError):
        _ = lazy.torch.no_such_name


def test_lazy_modules_travel_by_name():
    import pickle

    import torch

    from agents import lazy_torch as lazy

    twin = pickle.loads(pickle.dumps(lazy.torch))
    assert type(twin) is type(lazy.torch)
    assert twin.float32 is torch.float32
    assert isinstance(torch.zeros(1), pickle.loads(pickle.dumps(lazy.Tensor)))
