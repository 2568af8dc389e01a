"""Columns of categories without an order."""

from collections.abc import Sequence

import torch
from torch import Tensor

from skvae.likelihoods._codes import CodesLikelihood, CodesModel
from skvae.likelihoods._contract import LikelihoodModel


class _CategoricalModel(CodesModel):
    """Codes with a logit for each category; the encoder sees them one-hot."""

    def __init__(self, n_categories: Sequence[int]) -> None:
        super().__init__(n_categories)
        self.n_inputs = self.n_outputs = self.n_total

    def cell_inputs(self, x: Tensor) -> Tensor:
        """Return one-hot columns."""
        return (x[..., self.column_of] == self.code_of).to(x.dtype)

    def spread(self, columns: Tensor) -> Tensor:
        """Return each column's value once per category."""
        return columns[..., self.column_of]

    def log_masses(self, outputs: Tensor) -> Tensor:
        """Return the log-softmax of each column's logits."""
        return self.padded(outputs, -torch.inf).log_softmax(-1)

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return one minus the probability of each cell's category."""
        codes = torch.nan_to_num(x)
        left = 1.0 - self.cell_log_prob(outputs, codes).exp()
        return torch.where(torch.isnan(x), x, left)

    def marginal_outputs(self) -> Tensor:
        """Return the log-frequencies."""
        return self.frequency.log()

    def marginal_inputs(self) -> Tensor:
        """Return the frequencies."""
        return self.frequency

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Return the loadings over the frequencies.

        Inputs of a column sum to one, so that their directions sum to zero, for which
        this inverts the slope of the softmax, diag(p) - p p^T.
        """
        # The floor keeps rare categories from asking for unbounded logits.
        return loadings / self.frequency.clamp_min(0.05)


class Categorical(CodesLikelihood):
    r"""Categories without an order.

    .. math:: \log p(X \mid z) = \sum_j a_{j, X_j}(z)
        - \log \sum_c \exp a_{jc}(z)

    with a decoder output :math:`a_{jc}(z)` for each category of each column: a
    multinomial logit model [1]_ of each column. The encoder sees categories one-hot.

    Domain: codes 0, 1, ..., C - 1. Link: softmax. There is no mean: where one is asked
    for, the answer is the mode, the most likely category.

    Parameters
    ----------
    n_categories : "auto", int or list of int, default="auto"
        Number of categories of all columns, or of each. `"auto"` takes the largest
        code in the data.

    See Also
    --------
    Ordinal : For categories with an order.
    Bernoulli : For zeros and ones.

    References
    ----------
    .. [1] McCullagh & Nelder (1989). Generalized linear models, section 5.2. Chapman
       & Hall.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 2.0], [1.0, 0.0]])
    >>> Categorical().resolve(X)
    Categorical(n_categories=[2, 3])
    """

    _size = "n_categories"

    def __init__(self, n_categories: str | int | Sequence[int] = "auto") -> None:
        self.n_categories = n_categories

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        return _CategoricalModel(self._sizes(n_features))
