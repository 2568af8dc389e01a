"""A term that keeps neighbors together, and other rows apart."""

import math
from numbers import Integral
from typing import Any

import torch
from scipy.special import gammaincinv
from sklearn.base import clone
from torch import Tensor

from skvae._model import Model
from skvae.objectives._contract import OBJECTIVES, AddedTerm, Objective, Shape
from skvae.objectives._contrast import Contrasted, contrasts, gradient_of
from skvae.schedules import Schedule, Weight, require
from skvae.table import Batch

WEIGHT_PER_COLUMN, LEAST_WEIGHT = 0.25, 1.0
"""Weight of the term by default: as log-densities add up over columns, it grows."""


class Neighbors(AddedTerm):
    r"""Neighbors in the data are neighbors in the latent space.

    To the loss of another objective is added, for each row i and one of its nearest
    neighbors j, drawn anew at each step,

    .. math:: -\log q_{ij} + \tfrac12 \log \sum_{l \ne i} q_{il}
        + \tfrac12 \log \sum_{l \ne j} q_{jl}, \quad
        q_{ij} = 1 / (1 + \| \mu_i - \mu_j \|^2 / (\tau s)^2),

    with :math:`\mu` the posterior means, s their standard deviation in the batch, and l
    the other rows of the batch: the noise-contrastive loss [1]_ with the kernel of
    t-SNE [2]_, as in [3]_. How large the map is does not matter to it: the prior
    decides that.

    Neighbors are sought once, before training, among distinct rows, by Euclidean
    distance of what the encoder sees of them, or of its first 50 principal components.
    Beyond 65,536 rows they are sought within parts of the rows. A fitted model does not
    hold them: `transform` is the encoder alone.

    Parameters
    ----------
    base : str or Objective, default="elbo"
        What the term is added to.
    n_neighbors : int, default=15
        Number of nearest neighbors of a row that count. One of them is drawn by sample
        weight.
    weight : "auto", float, Schedule or Weight, default="auto"
        Weight of the term. `"auto"`: a quarter of the number of columns, since the
        other terms grow with it, and at least 1.
    width : "auto" or float, default="auto"
        Distance :math:`\tau` at which the kernel is one half, in standard deviations of
        the map. `"auto"`: the radius that is expected to hold `n_neighbors` of as many
        draws from a standard normal distribution as there are training rows.
    max_r2_loss : float, default=0.03
        What a state may give up to replace a start at PCA, where early stopping holds
        rows out: the fraction of their variance that it may explain less. A warning
        says where no state did.

    References
    ----------
    .. [1] van den Oord, Li & Vinyals (2018). Representation learning with contrastive
       predictive coding. https://arxiv.org/abs/1807.03748
    .. [2] van der Maaten & Hinton (2008). Visualizing data using t-SNE. Journal of
       Machine Learning Research 9.
    .. [3] Damrich, Böhm, Hamprecht & Kobak (2023). From t-SNE to UMAP with contrastive
       learning. ICLR. https://arxiv.org/abs/2206.01816

    Examples
    --------
    >>> Neighbors(n_neighbors=30)
    Neighbors(n_neighbors=30)
    """

    name = "neighbors"
    # A parameter here; that of the base elsewhere.
    max_r2_loss: float = math.inf

    def __init__(
        self,
        base: str | Objective = "elbo",
        n_neighbors: int = 15,
        weight: str | float | Schedule | Weight = "auto",
        width: str | float = "auto",
        max_r2_loss: float = 0.03,
    ) -> None:
        self.base = base
        self.n_neighbors = n_neighbors
        self.weight: Any = weight
        self.width: Any = width
        self.max_r2_loss = max_r2_loss

    @property
    def neighborhood(self) -> int:  # type: ignore[override]
        """Number of neighbors, of which each row comes with one."""
        return self.n_neighbors

    @property
    def has_written_gradient(self) -> bool:  # type: ignore[override]
        """Whether the gradient of the base is written out, and nothing else added."""
        base = self._base
        return not isinstance(base, AddedTerm) and base.has_written_gradient

    def term(self, model: Model, batch: Batch, noise: Tensor) -> Tensor:
        """Return the term of each row and its neighbor; zero of rows that come alone.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)
            Not used.

        Returns
        -------
        term : Tensor of shape (B,)
        """
        if batch.partners is None:
            return noise.new_zeros(len(batch))
        means = model.posterior_mean(batch.with_partners())
        terms: Any = Contrasted.apply(means, self.width)
        return terms

    def written_term(self, means: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the term, and the gradient of its weighted sum.

        Parameters
        ----------
        means : Tensor of shape (2 B, K)
        weights : Tensor of shape (B,)

        Returns
        -------
        term : Tensor of shape (B,)
        gradient : Tensor of shape (2 B, K)
        """
        found = contrasts(means, self.width)
        return torch.cat([one.terms for one in found]), gradient_of(found, weights)

    def resolved(self, mean_fraction: float, shape: Shape | None = None) -> Objective:
        """Return the objective with numbers in place of "auto".

        Parameters
        ----------
        mean_fraction : float
        shape : Shape or None
            Weight and width follow from it.

        Returns
        -------
        objective : Objective
        """
        resolved = super().resolved(mean_fraction, shape)
        if shape is None:
            return resolved
        weight = max(LEAST_WEIGHT, WEIGHT_PER_COLUMN * shape.n_columns)
        auto = {"weight": weight, "width": self._width(shape)}
        chosen = {k: v for k, v in auto.items() if _is_auto(getattr(self, k))}
        return resolved.set_params(**chosen)

    def _width(self, shape: Shape) -> float:
        """Return the radius that holds as many of the prior's draws as neighbors."""
        fraction = min(0.5, self.n_neighbors / shape.n_rows)
        return math.sqrt(2.0 * gammaincinv(0.5 * shape.n_components, fraction))

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid, or two terms share a name."""
        require(self, "n_neighbors", lambda n: n >= 1, "a positive integer", Integral)
        require(self, "max_r2_loss", lambda loss: loss >= 0, "at least 0")
        if not _is_auto(self.width):
            said = "'auto' or a number above 0"
            require(self, "width", lambda w: 0 < w < math.inf, said)
        if _is_auto(self.weight):
            clone(self).set_params(weight=1.0).check()
        else:
            super().check()


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


OBJECTIVES["neighbors"] = Neighbors
