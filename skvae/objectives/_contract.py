"""The contract of objectives, and terms that are added to one."""

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any, NamedTuple

import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor

from skvae._model import Model
from skvae.schedules import Schedule, Weight, as_weight
from skvae.table import Batch

Terms = Mapping[str, Tensor]
"""Name → loss in nats, before it is weighted: of each row (B,), or of the batch, ()."""


class Shape(NamedTuple):
    """What an objective may go by where it chooses; constant columns do not count."""

    n_rows: int
    n_columns: int
    n_components: int


class Objective(BaseEstimator):
    """Base of all objectives: a loss in named terms.

    A subclass names its terms in `names`, in the order in which `terms` gives them.
    Training and validation both compute the loss as the sum of these terms times their
    weights: `beta=` of the estimator for `"kl"`, those of `weights()` for others, and 1
    for the rest.

    Attributes
    ----------
    names : tuple of str
        Names of the terms.
    n_draws : int
        Draws of z per row of a training batch.
    least_beta : float
        Least weight of the term `"kl"` with which the loss has a useful lower bound.
    has_written_gradient : bool
        Whether the terms are those of a single draw whose gradient is written out:
        -log p(x given z), then KL(q || p) where z is drawn, then `written_term`.
    is_bound : bool
        Whether a state must not be worse than a start that is exact: it must give
        held-out rows as great a density, and reconstruct them as well.
    max_r2_loss : float
        Where it is not: the fraction of variance that a state may explain less of
        held-out rows than an exact start; infinity where that does not matter.
    neighborhood : int or None
        Number of nearest neighbors, of which each row of a batch comes with one; None
        where rows come alone.
    most_rows : int or None
        Most held-out rows whose terms are computed together, where they compare rows.
    changes_model : bool
        Whether the terms are those of another model than the given one.
    orders_components : bool
        Whether components keep the order that training gives them, and are not ordered
        by information.
    """

    names: tuple[str, ...]
    n_draws: Any = 1
    least_beta = 0.0
    has_written_gradient = False
    is_bound = True
    max_r2_loss: float = math.inf
    neighborhood: int | None = None
    most_rows: int | None = None
    changes_model = False
    orders_components = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take back what a parent says of its gradient where terms are others."""
        super().__init_subclass__(**kwargs)
        if {"terms", "term"} & vars(cls).keys():
            cls.has_written_gradient = vars(cls).get("has_written_gradient", False)

    def terms(self, model: Model, batch: Batch, noise: Tensor) -> Terms:
        """Return the terms of the loss.

        Parameters
        ----------
        model : Model
        batch : Batch
            B rows.
        noise : Tensor of shape (S, B, K)
            Standard normal numbers; the posterior makes draws of z from them.

        Returns
        -------
        terms : dict of str to Tensor of shape (B,) or ()
        """
        raise NotImplementedError

    def written_term(
        self, means: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """Return a last term that follows from posterior means, with its gradient.

        Parameters
        ----------
        means : Tensor of shape (B, K) or (2 B, K)
            Of the rows of a batch, and then of their neighbors if they have one.
        weights : Tensor of shape (B,)

        Returns
        -------
        term : Tensor of shape (B,)
        gradient : Tensor of the shape of `means`
            Of the weighted sum of the term. None in place of both, without such a term.
        """
        return None

    def stacked_terms(self, model: Model, batch: Batch, noise: Tensor) -> Tensor:
        """Return the terms of each row as one tensor; rows share terms of the batch.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        terms : Tensor of shape (T, B)
            In the order of `names`.
        """
        terms = self.terms(model, batch, noise)
        return torch.stack([terms[name].expand(len(batch)) for name in self.names])

    def weights(self) -> dict[str, Weight]:
        """Return the weights of terms other than `"kl"`, where they are not 1.

        Returns
        -------
        weights : dict of str to Weight
        """
        return {}

    def noise_at(self, noise: Tensor) -> Tensor:
        """Return the noise at which a batch is reconstructed.

        Parameters
        ----------
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        noise : Tensor of shape (S, B, K)
        """
        return noise

    def cases(self) -> "tuple[tuple[float, Objective], ...]":
        """Return what training draws for each row at random, for validation to average.

        Returns
        -------
        cases : tuple of (float, Objective)
            Fractions of the rows of a batch, and the objective that they have.
        """
        return ((1.0, self),)

    def resolved(self, mean_fraction: float, shape: Shape | None = None) -> "Objective":
        """Return the objective with numbers in place of "auto".

        Parameters
        ----------
        mean_fraction : float
            What `mean_fraction="auto"` becomes.
        shape : Shape or None
            That of the fit; None where it is not known yet.

        Returns
        -------
        objective : Objective
        """
        return self

    def for_density(self) -> "Objective":
        """Return the objective without what trades density for reconstructions.

        Returns
        -------
        objective : Objective
        """
        return self.resolved(0.0)

    def bound(self) -> "Objective":
        """Return what is left of the objective for any prior: a bound.

        Returns
        -------
        objective : Objective
        """
        return self

    def default_beta(self, start_is_weak: bool) -> float | Schedule:
        """Return what `beta="auto"` becomes.

        Parameters
        ----------
        start_is_weak : bool
            Whether training starts at a linear model that is hardly more than noise.

        Returns
        -------
        beta : float or Schedule
        """
        return 1.0

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid."""
        if not isinstance(self.n_draws, Integral) or self.n_draws < 1:
            raise ValueError(
                f"n_draws of {self!r} must be a positive integer. Got {self.n_draws!r}."
            )


class Wrapper(Objective):
    """Base of objectives around another one, which are the same in all but some.

    Parameters
    ----------
    base : str or Objective, default="elbo"
        The objective that is changed.

    Attributes
    ----------
    goes_inside : bool
        Whether it and the base must go by the same model, of which both compute
        something, so that it must not be around one that changes the model.
    """

    is_bound = False
    goes_inside = False

    def __init__(self, base: str | Objective = "elbo") -> None:
        self.base = base

    @property
    def changes_model(self) -> bool:  # type: ignore[override]
        """Whether the terms are those of another model than the given: as the base."""
        return self._base.changes_model

    @property
    def _base(self) -> Objective:
        from_name: Any = self.base
        return as_objective(from_name)

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the base's terms."""
        return self._base.names

    @property
    def n_draws(self) -> Any:
        """Number of draws of z per row: that of the base."""
        return self._base.n_draws

    @property
    def least_beta(self) -> float:  # type: ignore[override]
        """Least weight of the KL term: that of the base."""
        return self._base.least_beta

    @property
    def neighborhood(self) -> int | None:  # type: ignore[override]
        """Number of neighbors, of which each row comes with one: that of the base."""
        return self._base.neighborhood

    @property
    def most_rows(self) -> int | None:  # type: ignore[override]
        """Most rows whose terms are computed together: as the base."""
        return self._base.most_rows

    @property
    def max_r2_loss(self) -> float:  # type: ignore[override]
        """Variance that a state may explain less than an exact start: as the base."""
        return self._base.max_r2_loss

    @property
    def orders_components(self) -> bool:  # type: ignore[override]
        """Whether components keep the order that training gives them: as the base."""
        return self._base.orders_components

    def terms(self, model: Model, batch: Batch, noise: Tensor) -> Terms:
        """Return the terms of the base.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        terms : dict of str to Tensor of shape (B,) or ()
        """
        return self._base.terms(model, batch, noise)

    def noise_at(self, noise: Tensor) -> Tensor:
        """Return the noise at which the base reconstructs a batch.

        Parameters
        ----------
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        noise : Tensor of shape (S, B, K)
        """
        return self._base.noise_at(noise)

    def cases(self) -> tuple[tuple[float, Objective], ...]:
        """Return the cases of the base, each changed in the same way.

        Returns
        -------
        cases : tuple of (float, Objective)
        """
        cases = self._base.cases()
        return tuple((f, clone(self).set_params(base=base)) for f, base in cases)

    def weights(self) -> dict[str, Weight]:
        """Return the weights of the base's terms.

        Returns
        -------
        weights : dict of str to Weight
        """
        return self._base.weights()

    def resolved(self, mean_fraction: float, shape: Shape | None = None) -> Objective:
        """Return the objective with the base resolved.

        Parameters
        ----------
        mean_fraction : float
        shape : Shape or None

        Returns
        -------
        objective : Objective
        """
        base = self._base.resolved(mean_fraction, shape)
        return clone(self).set_params(base=base)

    def bound(self) -> Objective:
        """Return that of the base.

        Returns
        -------
        objective : Objective
        """
        return self._base.bound()

    def default_beta(self, start_is_weak: bool) -> float | Schedule:
        """Return what `beta="auto"` becomes with the base.

        Parameters
        ----------
        start_is_weak : bool

        Returns
        -------
        beta : float or Schedule
        """
        return self._base.default_beta(start_is_weak)

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid, or the order is."""
        self._base.check()
        if self.goes_inside and self._base.changes_model:
            own, other = type(self).__name__, type(self._base).__name__
            raise ValueError(
                f"{own} must be inside of what changes the model for its base. Got "
                f"{self!r}. Put it inside: {other}({own}(...))."
            )


class AddedTerm(Wrapper):
    """Base of terms that are added to another objective.

    A subclass has a `name` and a method `term`, and may have further parameters.
    Several are added by nesting, in any order.

    Parameters
    ----------
    base : str or Objective, default="elbo"
        What the term is added to.
    weight : float, Schedule or Weight, default=1.0
        Weight of the term.
    """

    name: str

    def __init__(
        self, base: str | Objective = "elbo", weight: float | Schedule | Weight = 1.0
    ) -> None:
        self.base = base
        self.weight = weight

    def term(self, model: Model, batch: Batch, noise: Tensor) -> Tensor:
        """Return the term of each row, (B,), or of the batch, ().

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        term : Tensor
        """
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the base's terms, then its own."""
        return (*self._base.names, self.name)

    def terms(self, model: Model, batch: Batch, noise: Tensor) -> Terms:
        """Return the terms of the base, then its own.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        terms : dict of str to Tensor of shape (B,) or ()
        """
        # The base and the term go by the same outputs of the encoder.
        model = model.having_encoded(batch)
        terms = self._base.terms(model, batch, noise)
        return {**terms, self.name: self.term(model, batch, noise)}

    def weights(self) -> dict[str, Weight]:
        """Return the weights of the base's terms and its own.

        Returns
        -------
        weights : dict of str to Weight
        """
        return {**self._base.weights(), self.name: as_weight(self.weight)}

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid, or two terms share a name."""
        super().check()
        as_weight(self.weight)
        if self.name in self._base.names:
            raise ValueError(
                f"The terms of an objective must have different names. Got "
                f"{self.name!r} twice in {self!r}. Leave one of the two out."
            )


OBJECTIVES: dict[str, type[Objective]] = {}
"""Names of objectives, filled where they are defined."""


def as_objective(value: str | Objective) -> Objective:
    """Return an objective from a spec or a name."""
    if not isinstance(value, str):
        return value
    if value not in OBJECTIVES:
        raise ValueError(
            f"An objective must be one of {sorted(OBJECTIVES)} or an Objective. Got "
            f"{value!r}."
        )
    return OBJECTIVES[value]()


def per_row(values: Tensor, n_rows: int) -> Tensor:
    """Return the mean over draws of values (..., B), (B,)."""
    return values if values.dim() == 1 else values.reshape(-1, n_rows).mean(0)


def single(noise: Tensor) -> Tensor:
    """Return noise (S, B, K), or (B, K) where there is a single draw."""
    return noise[0] if len(noise) == 1 else noise


def fractions(batch: Batch) -> Tensor:
    """Return the fraction of a batch's sample weights that is each row's, (B,)."""
    weights = torch.ones_like(batch.x[:, 0]) if batch.weights is None else batch.weights
    return weights / weights.sum()
