"""Columns of categories without an order."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skvae.likelihoods._codes import CodesLikelihood, CodesModel
from skvae.likelihoods._contract import Where
from skvae.likelihoods._linearization import Linearization


class _CategoricalModel(CodesModel):
    """Codes with a logit for each category; the encoder sees them one-hot."""

    preparation_kind = "one_hot"
    link_kind = "categories"

    def __init__(self, n_categories: Sequence[int]) -> None:
        super().__init__(n_categories)
        self.n_inputs = self.n_outputs = self.n_total
        # Of categories by columns (C, D), flat: which is the fast order for a softmax.
        padding = torch.zeros(self.is_padding.T.shape)
        padding = padding.masked_fill_(self.is_padding.T, -torch.inf)
        self.register_buffer("padding", padding, persistent=False)
        at = self.code_of * self.n_features + self.column_of
        self.register_buffer("at", at, persistent=False)

    def preparation_arrays(self) -> dict[str, Any]:
        """Return column and code of each input, and the frequencies."""
        usual = self.frequency
        return {"column": self.column_of, "code": self.code_of, "usual": usual}

    def link_arrays(self) -> dict[str, Any]:
        """Return where the outputs of each category are."""
        return {"position": self.position, "is_padding": self.is_padding}

    def log_masses(self, outputs: Tensor) -> Tensor:
        """Return the log-softmax of each column's logits."""
        return self.padded(outputs, -torch.inf).log_softmax(-1)

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy, and masses minus one-hot rows as gradient."""
        x = x if observed is None else self.fill(x, observed)
        codes = x.long().unsqueeze(-2)
        logits = outputs.index_select(-1, self.position.T.flatten())
        logits = logits.unflatten(-1, self.padding.shape) + self.padding
        masses = logits.log_softmax(-2)
        losses = -masses.gather(-2, codes).squeeze(-2)
        hits = -torch.ones_like(losses).unsqueeze(-2)
        gradient = masses.exp_().scatter_add_(-2, codes, hits).flatten(-2)
        weights = sample_weights[:, None]
        if observed is not None:
            losses = torch.where(observed, losses, 0.0)
            weights = weights * observed.index_select(-1, self.column_of)
        return losses.sum(-1), gradient.index_select(-1, self.at) * weights

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return one minus the probability of each cell's category."""
        return 1.0 - self.cell_log_prob(outputs, x).exp()

    def linearized(self) -> Linearization:
        """Return frequencies and their logarithms, with frequencies as slopes.

        The inputs of a column sum to one, so their directions sum to zero. For such
        directions, dividing by the frequencies p inverts the slope of the softmax,
        diag(p) - p p^T.
        """
        # The floor bounds the logits of rare categories.
        slope = self.frequency.clamp_min(0.05)
        return Linearization(self.frequency, self.frequency.log(), slope)


class Categorical(CodesLikelihood):
    r"""Categories without an order.

    .. math:: \log p(X \mid z) = \sum_j a_{j, X_j}(z)
        - \log \sum_c \exp a_{jc}(z)

    with a decoder output :math:`a_{jc}(z)` for each category of each column: a
    multinomial logit model [1]_ of each column. The encoder sees categories one-hot.

    Domain: codes 0, 1, ..., C - 1. Link: softmax. There is no mean; in its place
    methods return the mode, the most likely category.

    Parameters
    ----------
    n_categories : "auto", int or list of int, default="auto"
        Number of categories of all columns, or of each. `"auto"`: in `fit`, those of
        the column's type or those that occur; in `resolve`, up to the largest code.

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

    _model = _CategoricalModel
    size_parameter = "n_categories"

    def __init__(self, n_categories: str | int | Sequence[int] = "auto") -> None:
        self.n_categories = n_categories
