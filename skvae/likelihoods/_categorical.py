"""Columns of categories without an order."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skvae.likelihoods._codes import CodesLikelihood, CodesModel
from skvae.likelihoods._contract import Where
from skvae.likelihoods._draws import uniform
from skvae.likelihoods._linearization import Linearization

LONG = 32
"""Number of categories from which on a softmax is fastest along the last axis."""


class _CategoricalModel(CodesModel):
    """Codes with a logit for each category; the encoder sees them one-hot."""

    preparation_kind = "one_hot"
    link_kind = "categories"
    free_padding = 128

    def __init__(self, n_categories: Sequence[int]) -> None:
        super().__init__(n_categories)
        self.n_inputs = self.n_outputs = self.n_total
        # A softmax is fast along a long last axis; along a short one that is not last.
        self.axis = -1 if self.is_padding.shape[1] >= LONG else -2
        is_padding = self.is_padding if self.axis == -1 else self.is_padding.T
        position = self.position if self.axis == -1 else self.position.T
        padding = torch.zeros(is_padding.shape).masked_fill_(is_padding, -torch.inf)
        self.register_buffer("padding", padding, persistent=False)
        self.register_buffer("source", position.flatten(), persistent=False)
        # The inverse: where each output is among those that are padded.
        at = torch.arange(padding.numel())[~is_padding.flatten()]
        at = at[torch.argsort(self.source[at])]
        self.register_buffer("at", at, persistent=False)

    @property
    def input_columns(self) -> Tensor:
        """The column of each category."""
        return self.column_of

    output_columns = input_columns

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

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-mass of each cell's category."""
        masses = self.log_masses(outputs)
        codes = x.long().unsqueeze(-1).expand(*masses.shape[:-1], 1)
        return masses.gather(-1, codes).squeeze(-1)

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy, and masses minus one-hot rows as gradient."""
        x = x if observed is None else self.fill(x, observed)
        codes = x.long().unsqueeze(self.axis)
        logits = outputs.index_select(-1, self.source)
        logits = logits.unflatten(-1, self.padding.shape) + self.padding
        masses = logits.log_softmax(self.axis)
        losses = -masses.gather(self.axis, codes).squeeze(self.axis)
        hits = -torch.ones_like(losses).unsqueeze(self.axis)
        gradient = masses.exp_().scatter_add_(self.axis, codes, hits).flatten(-2)
        weights = sample_weights[:, None]
        if observed is not None:
            losses = torch.where(observed, losses, 0.0)
            weights = weights * observed.index_select(-1, self.column_of)
        return losses.sum(-1), gradient.index_select(-1, self.at) * weights

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return codes, the quantiles at uniform numbers."""
        cumulated = self.log_masses(outputs).exp_().cumsum(-1)
        u = uniform(cumulated[..., 0], generator).unsqueeze(-1)
        codes = torch.searchsorted(cumulated, u, right=True).squeeze(-1)
        # The last category takes what rounding leaves of the total.
        last = self.is_padding.logical_not().sum(-1) - 1
        return torch.minimum(codes, last).to(outputs.dtype)

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
