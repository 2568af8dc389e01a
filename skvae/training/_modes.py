"""What networks do in a step of training alone: dropout."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from skvae._model import Model
from skvae._random import Stream, generator


def _global_generator(device: torch.device) -> torch.Generator:
    """Return the generator that layers of torch draw from on a device."""
    if device.type != "cuda":
        return torch.default_generator
    index = torch.cuda.current_device() if device.index is None else device.index
    return torch.cuda.default_generators[index]


class Modes:
    """Puts networks that have a training mode into it for single steps.

    At any other time they are in evaluation mode, so that answers do not vary. What
    their layers draw from torch's global generator follows from the seed, epoch and
    step; the generator is as before after each step.

    Parameters
    ----------
    model : Model
    seed : int
    """

    def __init__(self, model: Model, seed: int) -> None:
        networks = (model.encoder, model.decoder)
        self.networks = [network for network in networks if network.has_modes]
        self.model, self.seed = model, seed

    def step(self, epoch: int, step: int) -> AbstractContextManager[None]:
        """Return a context for a step."""
        return self._training(epoch, step) if self.networks else nullcontext()

    @contextmanager
    def _training(self, epoch: int, step: int) -> Iterator[None]:
        drawn_from = _global_generator(self.model.device)
        before = drawn_from.get_state()
        counted = generator(self.seed, Stream.DROPOUT, epoch, step)
        drawn_from.manual_seed(counted.initial_seed())
        for network in self.networks:
            network.train()
        try:
            yield
        finally:
            for network in self.networks:
                network.eval()
            drawn_from.set_state(before)
