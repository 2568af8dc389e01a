"""Normalizing flows as p(z)."""

import copy
import math
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae._random import seeded_layers
from skvae._sklearn import Interval
from skvae.priors._aggregate import Aggregate
from skvae.priors._priors import Prior, PriorModel

BATCH_SIZE = 256
"""Draws of z in a step."""

MOST_STEPS, PATIENCE, LEARNING_RATE = 4000, 10, 2e-3
"""Limits of the fit: steps, and epochs without an improvement."""

COUNT = Interval(Integral, 1, None, closed="left")


class FlowModel(PriorModel):
    """Standard normal noise through invertible splines, built."""

    center: Tensor
    scale: Tensor

    def __init__(self, n_components: int, n_transforms: int, n_units: int) -> None:
        super().__init__(n_components)
        self.n_units = n_units
        try:
            from zuko.flows import NSF
        except ImportError as error:
            raise ImportError(
                "Flow requires the package zuko. Run: pip install 'skvae[flow]'"
            ) from error
        self.flow = NSF(
            n_components, transforms=n_transforms, hidden_features=(n_units, n_units)
        )
        self.register_buffer("center", self.zeros.clone())
        self.register_buffer("scale", torch.ones_like(self.zeros))

    @property
    def width(self) -> int:
        # Knots and slopes of eight pieces of each component.
        return max(23 * self.n_components, self.n_units)

    @torch.no_grad()
    def attach(self, model: Any) -> None:
        # As a prior it is standard normal until it is trained: without weights in the
        # last layers, all splines are straight.
        for layer in self.flow.transform.transforms:
            last = layer.hyper[-1] if hasattr(layer, "hyper") else layer.phi
            for parameter in last.parameters():
                parameter.zero_()

    def log_prob(self, z: Tensor) -> Tensor:
        standard = (z - self.center) / self.scale
        return self.flow().log_prob(standard) - self.scale.log().sum()

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        shape, device = (n, self.n_components), generator.device
        noise = torch.randn(shape, generator=generator, device=device)
        with torch.no_grad():
            standard = self.flow().transform.inv(noise.to(self.scale))
        return (self.center + self.scale * standard).double()

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.center, self.scale


class Flow(Prior):
    r"""A normalizing flow: noise through a neural network that can be inverted.

    .. math:: \log p(z) = \log \mathcal{N}(f(z); 0, I) + \log |\det f'(z)|

    where :math:`f` consists of monotone rational-quadratic splines whose knots depend
    on other components [1]_. As a sampler it is fitted to draws from the posteriors of
    the training rows, after training, until draws from those of held-out rows become no
    more likely. As a prior it is learned with the model [2]_, from a standard normal
    distribution on; the divergence is then estimated, and not known per component, and
    the posterior of a row without any observed cell stays standard normal. It needs the
    package zuko: ``pip install 'skvae[flow]'``.

    Parameters
    ----------
    n_transforms : int, default=3
        Number of layers of splines.
    n_units : int, default=64
        Units in each of the two hidden layers that give a layer's knots.

    See Also
    --------
    Mixture : Faster, and enough where z comes in clusters.

    References
    ----------
    .. [1] Durkan, Bekasov, Murray & Papamakarios (2019). Neural spline flows. NeurIPS.
       https://arxiv.org/abs/1906.04032
    .. [2] Chen, Kingma, Salimans, Duan, Dhariwal, Schulman, Sutskever & Abbeel (2017).
       Variational lossy autoencoder. ICLR, section 3.2.
       https://arxiv.org/abs/1611.02731

    Examples
    --------
    >>> Flow(n_transforms=5)
    Flow(n_transforms=5)
    """

    _parameter_constraints: dict = {"n_transforms": [COUNT], "n_units": [COUNT]}

    def __init__(self, n_transforms: int = 3, n_units: int = 64) -> None:
        self.n_transforms = n_transforms
        self.n_units = n_units

    def build(self, n_components: int) -> FlowModel:
        self._validate_params()
        with seeded_layers(0):
            return FlowModel(n_components, self.n_transforms, self.n_units)

    def fitted(
        self, train: Aggregate, held_out: Aggregate, seed: int
    ) -> tuple[Prior, PriorModel]:
        # Tensors made in inference mode take no part in gradients.
        with torch.inference_mode(False), torch.enable_grad():
            model = self.build(train.n_components)
            _standardize(model, train, seed)
            _train(model, train, held_out, seed)
        return self, model.requires_grad_(False)


def _draws(rows: Aggregate, seed: int) -> Tensor:
    return rows.some_draws(seed).float().clone()


def _standardize(model: FlowModel, rows: Aggregate, seed: int) -> None:
    """Set center and scale to those of draws: splines bend what is near zero only."""
    z = _draws(rows, seed)
    model.center.copy_(z.mean(0))
    model.scale.copy_(z.std(0).clamp_min(1e-6))


def _train(model: FlowModel, train: Aggregate, held_out: Aggregate, seed: int) -> None:
    """Fit a flow to draws, new ones in each epoch; keep the best on held-out ones."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    checked, seeds = _draws(held_out, seed), np.random.default_rng(seed)
    best, least, waited, steps = copy.deepcopy(model.state_dict()), math.inf, 0, 0
    while steps < MOST_STEPS and waited < PATIENCE:
        z = _draws(train, int(seeds.integers(2**31)))
        order = torch.from_numpy(seeds.permutation(len(z)))
        for batch in z[order].split(BATCH_SIZE):
            optimizer.zero_grad()
            (-model.log_prob(batch).mean()).backward()
            optimizer.step()
            steps += 1
        with torch.no_grad():
            loss = -float(model.log_prob(checked).mean())
        waited += 1
        if loss < least:
            best, least, waited = copy.deepcopy(model.state_dict()), loss, 0
    model.load_state_dict(best)
