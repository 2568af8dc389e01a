"""Which device batches and models are on."""

import torch


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device named by the `device` parameter."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = str(device)
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or not (index.isdecimal() or name == kind):
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N'. Got {name!r}."
        )
    resolved = torch.device(device)
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if resolved.type == "cuda" and (resolved.index or 0) >= n_gpus:
        raise RuntimeError(
            f"device={name!r} requires a CUDA GPU that torch can see. Got torch "
            f"{torch.__version__}, which sees {n_gpus}. Use device='auto' or 'cpu', or "
            "install a CUDA build of torch."
        )
    return resolved


def available_device(device: str | torch.device) -> torch.device:
    """Return the device, or the CPU where it is not available."""
    try:
        return resolve_device(device)
    except (RuntimeError, ValueError):
        return torch.device("cpu")
