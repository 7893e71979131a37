"""Training of a part of a backbone: low-rank adapters (LoRA), or its upper layers only.

`peft` is imported where adapters are used: hosts without any start a quarter of a second sooner.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from agents.config import LoRAConfig
from protocols.errors import ModelError

ADAPTERS = "adapter_model.safetensors"


def add_lora(backbone: PreTrainedModel, lora: LoRAConfig, origin: str) -> None:
    """Add adapters to matrices of a backbone, in place, and freeze all its other parameters.

    Args:
        backbone: backbone to change in place.
        lora: rank, scale and target layers.
        origin: folder or name of the backbone, written into saved adapters.

    Raises:
        ModelError: the backbone has no layers with the names of the targets.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2022.
    """
    import peft

    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        # Conv1D, GPT-2's linear layer, stores its weight transposed.
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in backbone.modules()),
        lora_dropout=lora.dropout,
        target_modules=None if lora.targets is None else list(lora.targets),
        base_model_name_or_path=_absolute(origin),
    )
    try:
        peft.inject_adapter_in_model(config, backbone)
    except ValueError as error:
        names = {name.rpartition(".")[2] for name, m in backbone.named_modules() if _is_matrix(m)}
        raise ModelError(
            f"no adapters can be added to {origin!r}: {str(error).splitlines()[0]}",
            expected=f"some of {', '.join(sorted(names))}",
            actual=lora.targets,
            hint="name the layers in encoder.lora.targets",
        ) from error


def freeze_below(backbone: PreTrainedModel, layers: int, origin: str) -> None:
    """Freeze the embeddings and the first layers of a backbone, in place.

    Args:
        backbone: backbone to change in place; its layers must be in one `ModuleList`.
        layers: number of layers to freeze; 0 freezes only the embeddings.
        origin: folder or name of the backbone, for errors.

    Raises:
        ModelError: the backbone has fewer layers, or no such list.
    """
    count = int(backbone.config.num_hidden_layers)
    stacks = [
        (name, module)
        for name, module in backbone.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if not stacks or layers > count:
        raise ModelError(
            f"encoder.frozen_layers does not fit {origin!r}",
            expected=f"at most {count} layers" if stacks else "a backbone with one list of layers",
            actual=layers,
            hint="lower encoder.frozen_layers, or drop it",
        )
    prefix = stacks[0][0]
    trained = False
    for name, parameter in backbone.named_parameters():
        inside = name.startswith(f"{prefix}.")
        if inside and int(name[len(prefix) + 1 :].split(".")[0]) >= layers:
            trained = True
        # Parameters registered before the layers embed and are frozen; those after pool or scale the output.
        after = not inside and trained
        parameter.requires_grad_(parameter.requires_grad and (trained if inside else after))
    if layers == count:
        backbone.requires_grad_(False)


def adapter_state(backbone: PreTrainedModel) -> dict[str, Any] | None:
    """Return the adapters' tensors under peft's names; None for a backbone without adapters."""
    if not hasattr(backbone, "peft_config"):
        return None
    import peft

    state: dict[str, Any] = peft.get_peft_model_state_dict(backbone)
    return state


def save_adapters(backbone: PreTrainedModel, directory: Path) -> None:
    """Save the adapters in peft's format, without the backbone.

    The backbone's config.json is left out too: transformers takes a folder with one for a
    whole model.
    """
    state = adapter_state(backbone)
    assert state is not None
    tensors = {
        f"base_model.model.{name}": value.detach().clone().contiguous()
        for name, value in state.items()
    }
    directory.mkdir(parents=True, exist_ok=True)
    save_file(tensors, directory / ADAPTERS, metadata={"format": "pt"})
    backbone.peft_config["default"].save_pretrained(str(directory))


def load_adapters(backbone: PreTrainedModel, directory: Path) -> None:
    """Load saved adapters into a backbone that has adapters of the same shapes.

    Raises:
        ModelError: the shapes differ.
    """
    import peft

    prefix = "base_model.model."
    saved = load_file(directory / ADAPTERS)
    saved = {name.removeprefix(prefix): value for name, value in saved.items()}
    own = adapter_state(backbone) or {}
    if {n: v.shape for n, v in own.items()} != {n: v.shape for n, v in saved.items()}:
        raise ModelError(
            f"the adapters in {directory} do not fit encoder.lora",
            expected=_form(saved),
            actual=_form(own),
            hint="give encoder.lora the rank and targets that they were trained with, or drop it to merge "
            "them into the model and train that",
        )
    peft.set_peft_model_state_dict(backbone, saved)


def merge_adapters(backbone: PreTrainedModel, directory: Path) -> PreTrainedModel:
    """Merge saved adapters into the matrices of their backbone."""
    import peft

    with warnings.catch_warnings():
        # peft reads an attribute that transformers has deprecated.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        adapted = peft.PeftModel.from_pretrained(backbone, str(directory))
    merged: PreTrainedModel = adapted.merge_and_unload()
    return merged.requires_grad_(True)


def _form(state: dict[str, Any]) -> str:
    ranks = sorted({min(value.shape) for value in state.values()})
    return f"{len(state)} matrices of rank {', '.join(map(str, ranks))}"


def _absolute(origin: str) -> str:
    path = Path(origin)
    return str(path.resolve()) if path.is_dir() else origin


def _is_matrix(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return (
        isinstance(weight, nn.Parameter)
        and weight.dim() == 2
        and not isinstance(module, nn.Embedding)
    )
