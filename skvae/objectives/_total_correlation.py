"""A term that makes components independent of each other."""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from skvae._model import Model
from skvae.objectives._contract import (
    OBJECTIVES,
    AddedTerm,
    Objective,
    Shape,
    fractions,
)
from skvae.schedules import Schedule, Weight, require
from skvae.table import Batch


class TotalCorrelation(AddedTerm):
    r"""Components are independent of each other, over all rows.

    To the loss of another objective is added the total correlation of the posteriors of
    all rows together, :math:`q(z) = \frac1N \sum_n q(z \mid x_n)`,

    .. math:: \mathrm{E}_{q(z)}\left[\log q(z) - \sum_k \log q(z_k)\right]

    [1]_, equation 2, so that with the evidence lower bound and `beta=1` the loss is
    that of the beta-TCVAE with :math:`\beta` = 1 + `weight`. The densities at a draw
    from the posterior of row i are estimated from the other rows j of a batch of B,

    .. math:: \hat q(z) = \frac1N q(z \mid x_i)
        + \frac{N - 1}{N (B - 1)} \sum_{j \ne i} q(z \mid x_j),

    without bias, as by the minibatch-stratified sampling of [1]_, appendix C.

    Parameters
    ----------
    base : str or Objective, default="elbo"
        What the term is added to.
    weight : float, Schedule or Weight, default=5.0
        Weight of the term.
    n_rows : "auto" or int, default="auto"
        Number of rows, N. `"auto"`: that of the training rows.

    Raises
    ------
    ValueError
        In `fit`: if a parameter is invalid, or the components of a posterior are not
        independent.

    See Also
    --------
    MMD : A term that makes the posteriors of all rows together the prior.

    Notes
    -----
    The estimates of logarithms have a bias that falls with the size of batches: prefer
    large ones. A step compares each row with each, B^2 K densities.

    References
    ----------
    .. [1] Chen, Li, Grosse & Duvenaud (2018). Isolating sources of disentanglement in
       variational autoencoders. NeurIPS. https://arxiv.org/abs/1802.04942

    Examples
    --------
    >>> TotalCorrelation(weight=3.0)
    TotalCorrelation(weight=3.0)
    """

    name = "total_correlation"
    goes_inside = True
    # Each row is compared with each.
    most_rows: int | None = 1024

    def __init__(
        self,
        base: str | Objective = "elbo",
        weight: float | Schedule | Weight = 5.0,
        n_rows: str | int = "auto",
    ) -> None:
        self.base = base
        self.weight = weight
        self.n_rows: Any = n_rows

    def term(self, model: Model, batch: Batch, noise: Tensor) -> Tensor:
        """Return log q(z) - sum of log q(z_k) at a draw for each row.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)
            The first draw of each row counts.

        Returns
        -------
        term : Tensor of shape (B,)
        """
        outputs = model.encode(batch)
        z = model.posterior.draw(outputs, noise[0])
        each = model.posterior.log_prob_per_component(outputs, z[:, None])
        log_fractions = self._fractions(batch).log()
        joint = torch.logsumexp(log_fractions + each.sum(-1), dim=1)
        single = torch.logsumexp(log_fractions[..., None] + each, dim=1)
        return joint - single.sum(-1)

    def _fractions(self, batch: Batch) -> Tensor:
        """Return how much row j counts in the density at a draw of row i, (B, B)."""
        if len(batch) == 1:
            return torch.ones_like(batch.x[:, :1])
        n_rows = len(batch) if isinstance(self.n_rows, str) else self.n_rows
        own = torch.eye(len(batch), device=batch.x.device, dtype=batch.x.dtype)
        others = fractions(batch) * (1.0 - own)
        return own / n_rows + (1.0 - 1.0 / n_rows) * others / others.sum(1, True)

    def resolved(self, mean_fraction: float, shape: Shape | None = None) -> Objective:
        """Return the objective with numbers in place of "auto".

        Parameters
        ----------
        mean_fraction : float
        shape : Shape or None
            Has the number of training rows.

        Returns
        -------
        objective : Objective
        """
        resolved = super().resolved(mean_fraction, shape)
        if shape is None or not isinstance(self.n_rows, str):
            return resolved
        return resolved.set_params(n_rows=shape.n_rows)

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid, or two terms share a name."""
        super().check()
        if self.n_rows != "auto":
            said = "'auto' or an integer above 1"
            require(self, "n_rows", lambda n: n > 1, said, Integral)


OBJECTIVES["total_correlation"] = TotalCorrelation
