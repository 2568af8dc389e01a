"""Counted randomness: every draw follows from a seed and the draw's own counters.

No generator keeps a running state: a fit that is resumed, or spread over several
processes, repeats the same numbers, and no generator has to be saved. The global
generators of Python, NumPy and torch are neither read nor advanced.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

_MASK = (1 << 64) - 1


class Stream(IntEnum):
    """What a draw is for; keeps streams with equal counters apart."""

    PARAMETERS = 1
    ORDER = 3
    NOISE = 4
    VALIDATION = 5
    SCORE = 6
    LATENT = 7
    OBSERVATION = 8
    HIDDEN = 9
    IMPUTATION = 10
    NEIGHBORS = 11
    SAMPLER = 12
    MISSING = 13
    CELLS = 14
    PRIOR = 15
    CORRUPTION = 16
    DROPOUT = 17


def seed_from(random_state: Any) -> int:
    """Return a seed below 2^31 from scikit-learn's `random_state`.

    With None the seed is fresh entropy: scikit-learn would advance NumPy's global
    generator here, which nothing in this package touches.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _mix(state: int) -> int:
    """Return the splitmix64 finalizer of `state` (Steele et al. 2014)."""
    state = (state + 0x9E3779B97F4A7C15) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


def generator(
    seed: int, stream: Stream, *counters: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a fresh generator for one draw, named by its counters."""
    state = _mix(seed)
    for counter in (stream, *counters):
        state = _mix(state ^ counter)
    return torch.Generator(device=device).manual_seed(state)


def normal_sequence(n: int, n_dimensions: int, seed: int) -> torch.Tensor:
    """Return `n` normal points of a scrambled Sobol sequence, (n, n_dimensions).

    They fill the space more evenly than independent draws, so that means over them
    vary less (Owen 1998). A longer sequence begins with a shorter one's points.
    """
    sobol = torch.quasirandom.SobolEngine(
        n_dimensions, scramble=True, seed=_mix(seed ^ Stream.SCORE) & 0x7FFFFFFF
    )
    uniform = sobol.draw(n, dtype=torch.float64)
    # The sequence may touch 0, where the normal quantile is infinite.
    return torch.special.ndtri(uniform.clamp(2.0**-32, 1.0 - 2.0**-32))


def generator_from(noise: torch.Tensor, stream: Stream) -> torch.Generator:
    """Return a generator that follows from numbers that were drawn for a batch."""
    state = hash(float(noise.detach().double().sum()))
    return generator(state & _MASK, stream, device=noise.device)


@contextmanager
def seeded_layers(seed: int) -> Iterator[None]:
    """Seed torch's global generator, for layers that draw from it, and put it back.

    Layers are made on the CPU, and can be trained.
    """
    with (
        torch.random.fork_rng(devices=[]),
        torch.device("cpu"),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        # Those of other devices, which it would seed too, are not put back.
        torch.default_generator.manual_seed(seed)
        yield
