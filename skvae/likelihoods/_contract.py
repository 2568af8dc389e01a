"""The contract of likelihoods: the spec that users pass, and the model it builds."""

from collections.abc import Callable, Sequence
from inspect import signature
from numbers import Integral
from pprint import pformat
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor, nn

from skvae.likelihoods._draws import draw
from skvae.likelihoods._forms import PREPARATIONS, Link, Preparation, as_they_are
from skvae.likelihoods._linearization import Linearization
from skvae.table import Cells, Rows

Where = Tensor | None
"""Which cells are observed, (B, D); None says that all are."""


class LikelihoodModel(nn.Module):
    """p(X given z), of rows of `X` under the outputs of a decoder.

    Rows `x` in model units (B, D) hold one number per column of `X`: categories and
    levels are codes 0, 1, ..., and NaN is a missing cell. Where a method takes
    `observed` (B, D), None says that no cell is missing; `x` then holds no NaN, and no
    time is spent looking for it. Methods of *filled* rows never see NaN: callers fill
    missing cells and leave out their results.

    A new likelihood sets the attributes, and writes:

    ==================================  ============================================
    ``fit_statistics(rows)``            learns from observed cells, float64
    ``preparation_arrays()``            named arrays that `preparation_kind` needs
    ``link_arrays()``                   named arrays that `link_kind` needs
    ``cell_log_prob(outputs, x)``       (..., B, D), of filled rows
    ``distribution(outputs)``           p(X given z) of cells, (..., D); not needed
                                        beside `mode` and `draw`
    ``linearized()``                    `Linearization`, where training starts
    ==================================  ============================================

    These have defaults, which it may replace by something better or faster:

    ==================================  ============================================
    ``log_prob(outputs, x, observed)``  (..., B), the sum over observed cells
    ``loss_and_gradient(...)``          (B,) and (B, n_outputs): autograd's
    ``residual(outputs, x)``            (B, D): x less the expected cells, in model
                                        units, of filled rows
    ``mode(outputs)``                   (..., D): the distribution's
    ``draw(outputs, generator)``        (B, D): the distribution's
    ``start_noise(variances)``          nothing: there is no noise to set
    ``input_columns``,                  the column that each input shows, and each
    ``output_columns``                  output is of: all once, then again
    ``expected(outputs)``,              (..., n_values) and (2, n_values): means, or
    ``expected_of``                     probabilities of codes, and whose they are
    ==================================  ============================================

    All else follows from the preparation and the link. Where no kind of link fits,
    a function of one's own is added to `skvae.likelihoods.LINKS`.

    Attributes
    ----------
    n_features : int
        Number of columns of `X`, D.
    n_inputs : int
        Number of values that the encoder sees of a row.
    n_outputs : int
        Number of values that the decoder gives per row.
    preparation_kind, link_kind : str
        What the preparation and the link are; keys of `PREPARATIONS` and `LINKS`.
    linear_start_is_exact : bool
        Whether probabilistic PCA is the best linear model under this likelihood.
    """

    n_features: int
    n_inputs: int
    n_outputs: int
    preparation_kind = "none"
    link_kind: str
    linear_start_is_exact = False

    if TYPE_CHECKING:
        # What is registered and not assigned is a buffer.
        def __getattr__(self, name: str) -> Tensor: ...

    def add_statistics(self, **values: float) -> None:
        """Add a float64 buffer of each name, (D,), with its value before `fit`."""
        for name, value in values.items():
            column = torch.full((self.n_features,), value, dtype=torch.float64)
            self.register_buffer(name, column)

    # What a likelihood writes

    def fit_statistics(self, rows: Rows) -> None:
        """Learn location, scale and the like from the observed cells, in float64."""
        raise NotImplementedError

    def preparation_arrays(self) -> dict[str, Any]:
        """Return the named arrays of the preparation."""
        return {}

    def link_arrays(self) -> dict[str, Any]:
        """Return the named arrays of the link."""
        return {}

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-density or log-mass of each cell in the units of `X`.

        Of shape (..., B, D), for filled rows.
        """
        raise NotImplementedError

    def distribution(self, outputs: Tensor) -> torch.distributions.Distribution:
        """Return p(X given z) over single cells, in the units of `X`."""
        raise NotImplementedError

    def linearized(self) -> Linearization:
        """Return the likelihood around the outputs that fit best without any z."""
        raise NotImplementedError

    # What it may write

    def log_prob(self, outputs: Tensor, x: Tensor, observed: Where = None) -> Tensor:
        """Return log p(observed cells given z) in the units of `X`, (..., B).

        Parameters
        ----------
        outputs : Tensor of shape (B, n_outputs) or (S, B, n_outputs)
        x : Tensor of shape (B, D)
            Rows in model units.
        observed : Tensor of shape (B, D), default=None
        """
        if observed is None:
            return self.cell_log_prob(outputs, x).sum(-1)
        # Filled before, so that gradients are finite, and left out after.
        cells = self.cell_log_prob(outputs, self.fill(x, observed))
        return torch.where(observed, cells, 0.0).sum(-1)

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return -log p(X given z) of each row, and the gradient of its weighted sum.

        Of observed cells. The gradient (B, n_outputs) is by `outputs`; that by the
        likelihood's own parameters is added to their `grad`. This one uses autograd; a
        likelihood may know a faster way.
        """
        # Tensors made in inference mode take no part in gradients; their copies do.
        with torch.inference_mode(False), torch.enable_grad():
            outputs = outputs.detach().clone().requires_grad_()
            seen = None if observed is None else observed.clone()
            loss = -self.log_prob(outputs, x.clone(), seen)
            (loss @ sample_weights.clone()).backward()
        return loss.detach(), outputs.grad  # type: ignore[return-value]

    def residual(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return how far cells deviate from their expectation, (B, D), in model units.

        For filled rows. Cells that the encoder sees in other units deviate in these.
        """
        return x - self.preparation().units(self.mean(outputs))

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely cells, (..., D), in the units of `X`."""
        return self.distribution(outputs).mode

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return one draw from p(X given z), (B, D), in the units of `X`."""
        return draw(self.distribution(outputs), generator)

    def start_noise(self, variances: Tensor) -> None:
        """Set learned noise from residual variances of the inputs (n_inputs,)."""

    # What follows

    @property
    def width(self) -> int:
        """Most values of a row that a method computes together."""
        return max(self.n_features, self.n_inputs, self.n_outputs)

    @property
    def n_constant(self) -> int:
        """Number of columns that are told apart as constant: outputs do not matter."""
        return 0

    @property
    def input_columns(self) -> Tensor:
        """The column that each input of the encoder shows, (n_inputs,)."""
        return torch.arange(self.n_inputs) % self.n_features

    @property
    def output_columns(self) -> Tensor:
        """The column that each output of the decoder is of, (n_outputs,)."""
        return torch.arange(self.n_outputs) % self.n_features

    @property
    def rounds_draws(self) -> bool:
        """Whether draws have no more decimal places than the cells of a column."""
        return False

    @property
    def draws_cells(self) -> bool:
        """Whether training draws cells anew at each step, by `draw_cells`."""
        return False

    def draw_cells(self, x: Tensor, uniform: Tensor) -> Tensor:
        """Return rows (B, D) in model units whose cells are drawn anew, for a step.

        Parameters
        ----------
        x : Tensor of shape (B, D)
            NaN is a missing cell, and stays one.
        uniform : Tensor of shape (B, D)
            Numbers in [0, 1), drawn uniformly.
        """
        return x

    @property
    def keeps_units(self) -> bool:
        """Whether model units are those of `X`, so that nothing is prepared."""
        return PREPARATIONS[self.preparation_kind].units is as_they_are

    def preparation(self) -> Preparation:
        """Return how cells become model units, and these what the encoder sees."""
        return Preparation(self.preparation_kind, self.preparation_arrays())

    def link(self) -> Link:
        """Return how outputs become the expected cells."""
        return Link(self.link_kind, self.link_arrays())

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Return rows of `X` (B, D) in model units, float64 if they are computed.

        NaN stays NaN.
        """
        with np.errstate(over="ignore"):
            return self.preparation().units(X)

    def fill(self, x: Tensor, observed: Tensor) -> Tensor:
        """Return rows with a value of the domain in place of missing cells."""
        return self.preparation().fill(x, observed)

    def encoder_inputs(self, x: Tensor, observed: Where = None) -> Tensor:
        """Return what the encoder sees, (B, n_inputs): usual values where missing."""
        # A training step has no time for lookups that it does not need.
        if observed is None and PREPARATIONS[self.preparation_kind].shows_rows:
            return x
        return self.preparation().inputs(x, observed)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the expected cells, (..., D), in the units of `X`.

        For categories it is the mode, for levels the median.
        """
        return self.link().cells(outputs)

    def expected(self, outputs: Tensor) -> Tensor:
        """Return what is expected of cells, (..., n_values), smooth in the outputs.

        Of a column of numbers its mean, in the units of `X`; of one of codes the
        probability of each.
        """
        return self.mean(outputs)

    @property
    def expected_of(self) -> Tensor:
        """The column, and the code or -1, of each value that is expected."""
        columns = torch.arange(self.n_features)
        return torch.stack((columns, torch.full_like(columns, -1)))


class Likelihood(BaseEstimator):
    """Base of all likelihood specs."""

    size_parameter: str | None = None
    """Which parameter is the number of categories; None: columns hold numbers."""
    needs_order = False
    """Whether the categories must have an order."""

    _parameter_constraints: dict = {}
    _model: Callable[..., LikelihoodModel]
    """Gets the number of columns, and the parameters by name."""

    def __repr__(self) -> str:
        """Return the whole call that makes the spec; scikit-learn may abbreviate it."""
        defaults = signature(type(self)).parameters
        said = [
            f"{name}={pformat(value, compact=True, sort_dicts=False)}"
            for name, value in self.get_params(deep=False).items()
            if repr(value) != repr(defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(said)})"

    def given_sizes(self, n_features: int) -> Sequence[int | None]:
        """Return what `size_parameter` says of each column, None where it is "auto".

        Raises ValueError where the parameter is invalid.
        """
        name: Any = self.size_parameter
        sizes: Any = getattr(self, name)
        if isinstance(sizes, str) and sizes == "auto":
            return [None] * n_features
        is_list = isinstance(sizes, list | tuple | np.ndarray)
        each = list(sizes) if is_list else [sizes] * n_features
        if len(each) != n_features or not all(map(_is_positive, each)):
            raise ValueError(
                f"{name} of {type(self).__name__} must be 'auto', a positive integer, "
                f"or a list of one for each of the {n_features} columns. Got {sizes!r}."
            )
        return list(map(int, each))

    def resolve(self, X: Cells | np.ndarray) -> "Likelihood":
        """Return the spec with everything set that the model's size depends on.

        Such as numbers of categories. What is returned can be built, and checks new
        rows.

        Parameters
        ----------
        X : Cells or ndarray of shape (n_samples, n_features)
            The rows to fit to, in the domain; NaN is a missing cell.
        """
        return clone(self)

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        self._validate_params()
        return self._model(n_features, **self.get_params(deep=False))

    def admits(self, low: float, high: float) -> bool:
        """Return whether every value from `low` to `high` is in every column's domain.

        If False, `check_domain` decides, which takes longer.
        """
        return False

    def check_domain(self, X: np.ndarray, name_of: Callable[[int], str]) -> None:
        """Raise ValueError where an observed value of `X` is outside the domain.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            NaN is a missing cell, which is in every domain.
        name_of : callable
            Gives a column's name, for the message, from its position.
        """
        outside = self._outside(X)
        if np.any(outside):
            row, column = np.argwhere(outside)[0]
            # As many digits as tell the value from a whole number.
            value = str(X[row, column]).removesuffix(".0")
            raise ValueError(
                f"{type(self).__name__} likelihood requires {self._domain(column)}. "
                f"Got {value} in column {name_of(int(column))}. "
                f"{self._remedy}"
            )

    # What `check_domain` follows from

    _remedy: str
    """What to do about a value outside the domain."""

    def _outside(self, X: np.ndarray) -> Any:
        """Return which cells are outside the domain, (B, D); False where NaN is."""
        return False

    def _domain(self, column: int) -> str:
        """Return what a column requires."""
        raise NotImplementedError


def _is_positive(value: Any) -> bool:
    """Return whether a value is an integer above zero; True is none."""
    return isinstance(value, Integral) and int(value) > 0 and value is not True
