"""A term that makes the posteriors of all rows together the prior."""

import torch
from torch import Tensor

from skvae._model import Model
from skvae.objectives._contract import OBJECTIVES, AddedTerm, Objective, fractions
from skvae.schedules import Schedule, Weight
from skvae.table import Batch


class MMD(AddedTerm):
    r"""The posteriors of all rows, together, are as the prior.

    To the loss of another objective is added, for a batch, the squared maximum mean
    discrepancy between a draw :math:`z_i` from the posterior of each row and draws
    :math:`y_i` of the prior,

    .. math:: \frac{1}{B (B - 1)} \sum_{i \ne j} k(z_i, z_j) + k(y_i, y_j)
        - k(z_i, y_j) - k(z_j, y_i), \quad k(a, b) = \frac{C}{C + \| a - b \|^2}

    with C = 2 K: the estimate without bias of [1]_, equation 4, with the kernel of
    [2]_, section 4. With `beta` it is the loss of InfoVAE [3]_, equation 6; with
    `beta=0`, that of the Wasserstein autoencoder [2]_, algorithm 2.

    Parameters
    ----------
    base : str or Objective, default="elbo"
        What the term is added to.
    weight : float, Schedule or Weight, default=100.0
        Weight of the term, whose values are in [0, 2], in expectation.

    Raises
    ------
    ValueError
        In `fit`: if a parameter is invalid, or the prior has no draws.

    See Also
    --------
    TotalCorrelation : A term that makes components independent of each other.

    Notes
    -----
    The draws of a standard normal prior are the numbers :math:`\epsilon_i` that
    :math:`z_i` is made from. No kernel compares those with each other, so that all
    that are compared are independent; and where the posterior is the prior, the term is
    exactly 0. Draws of other priors follow from these numbers, and parameters of the
    prior get no gradient from the term. An estimate may be negative.

    References
    ----------
    .. [1] Gretton, Borgwardt, Rasch, Schölkopf & Smola (2012). A kernel two-sample
       test. Journal of Machine Learning Research 13.
    .. [2] Tolstikhin, Bousquet, Gelly & Schölkopf (2018). Wasserstein auto-encoders.
       ICLR. https://arxiv.org/abs/1711.01558
    .. [3] Zhao, Song & Ermon (2019). InfoVAE: Balancing learning and inference in
       variational autoencoders. AAAI. https://arxiv.org/abs/1706.02262

    Examples
    --------
    >>> MMD(weight=10.0)
    MMD(weight=10.0)
    """

    name = "mmd"
    goes_inside = True
    # Each row is compared with each.
    most_rows: int | None = 1024

    def __init__(
        self, base: str | Objective = "elbo", weight: float | Schedule | Weight = 100.0
    ) -> None:
        self.base = base
        self.weight = weight

    def term(self, model: Model, batch: Batch, noise: Tensor) -> Tensor:
        """Return the squared discrepancy of a batch; zero of a single row.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)
            The first draw of each row counts.

        Returns
        -------
        term : Tensor of shape ()
        """
        z = model.posterior.draw(model.encode(batch), noise[0])
        y = model.prior.draw_from(noise[0])
        across = _kernel(z, y)
        gaps = _kernel(z, z) + _kernel(y, y) - across - across.T
        pairs = torch.outer(fractions(batch), fractions(batch)).fill_diagonal_(0.0)
        total = pairs.sum()
        return (pairs * gaps).sum() / torch.where(total > 0.0, total, 1.0)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Return the inverse multiquadratic kernel of points (A, K) and (B, K)."""
    squares = (a[:, None] - b).square().sum(-1)
    scale = 2.0 * a.shape[1]
    return scale / (scale + squares)


OBJECTIVES["mmd"] = MMD
