"""The evidence lower bound, and the loss of a plain autoencoder."""

from numbers import Real
from typing import Any

from sklearn.base import clone
from torch import Tensor

from skvae._model import Model
from skvae.objectives._contract import (
    OBJECTIVES,
    Objective,
    Shape,
    Terms,
    per_row,
    single,
)
from skvae.schedules import Schedule, WarmUp
from skvae.table import Batch


class ELBO(Objective):
    r"""The evidence lower bound, or a mixture of it with reconstruction.

    .. math:: -\log p(x \mid z) + \beta \, \mathrm{KL}(q(z \mid x) \,\|\, p(z)),
        \quad z \sim q(z \mid x)

    [1]_, equation 7, with one draw per row and the weight :math:`\beta` of the
    estimator.

    Parameters
    ----------
    mean_fraction : "auto" or float, default="auto"
        Fraction f of the rows of a batch, in [0, 1), that are decoded at the mean of
        their posterior instead of at a draw. With `beta` = 1 - f the loss is (1 - f)
        times minus the bound, plus f times the loss of a plain autoencoder:
        reconstructions gain more than the density loses. `"auto"`: 0.4, or 0.1 where
        the linear start is weak; but 0, the textbook's loss, where `beta` is given,
        with a likelihood other than Gaussian, a prior other than standard normal,
        missing or hidden cells, `init="random"`, or no hidden layers.

    References
    ----------
    .. [1] Kingma & Welling (2013). Auto-encoding variational Bayes.
       https://arxiv.org/abs/1312.6114

    Examples
    --------
    >>> ELBO(mean_fraction=0.25)
    ELBO(mean_fraction=0.25)
    """

    names = ("reconstruction", "kl")
    has_written_gradient = True

    def __init__(self, mean_fraction: str | float = "auto") -> None:
        self.mean_fraction = mean_fraction

    @property
    def _fraction(self) -> float:
        """The fraction; none until "auto" is resolved."""
        is_auto = isinstance(self.mean_fraction, str)
        return 0.0 if is_auto else float(self.mean_fraction)

    def noise_at(self, noise: Tensor) -> Tensor:
        """Return the noise, but none for the rows that are decoded at their mean.

        Parameters
        ----------
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        noise : Tensor of shape (S, B, K)
        """
        fraction = self._fraction
        if not fraction:
            return noise
        # Without noise all draws are the same.
        noise = noise.clone() if fraction < 1.0 else noise[:1].clone()
        # Batches are shuffled, so that any rows will do.
        noise[:, : round(fraction * noise.shape[1])] = 0.0
        return noise

    def cases(self) -> tuple[tuple[float, Objective], ...]:
        """Return all rows decoded at their mean, and none.

        Returns
        -------
        cases : tuple of (float, Objective)
        """
        fraction = self._fraction
        if not fraction:
            return super().cases()
        cases = (1.0, fraction), (0.0, 1.0 - fraction)
        return tuple((f, clone(self).set_params(mean_fraction=m)) for m, f in cases)

    def terms(self, model: Model, batch: Batch, noise: Tensor) -> Terms:
        """Return the two terms of the bound.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        terms : dict of str to Tensor of shape (B,)
        """
        outputs, posterior = model.encode(batch), model.posterior
        z = posterior.draw(outputs, single(noise))
        kl = model.prior.kl(posterior, outputs, z)
        if self._fraction:
            z = posterior.draw(outputs, single(self.noise_at(noise)))
        log_prob = model.log_prob(z, batch)
        return {"reconstruction": per_row(-log_prob, len(batch)), "kl": kl}

    def resolved(self, mean_fraction: float, shape: Shape | None = None) -> "ELBO":
        """Return the objective with a number in place of "auto".

        Parameters
        ----------
        mean_fraction : float
        shape : Shape or None
            Does not matter.

        Returns
        -------
        objective : ELBO
        """
        if not isinstance(self.mean_fraction, str):
            return self
        return clone(self).set_params(mean_fraction=mean_fraction)

    def default_beta(self, start_is_weak: bool) -> float | Schedule:
        """Return 1 - `mean_fraction`, reached slowly from a weak start.

        Parameters
        ----------
        start_is_weak : bool

        Returns
        -------
        beta : float or Schedule
        """
        value = 1.0 - self._fraction
        return WarmUp(value=value) if start_is_weak else value

    def check(self) -> None:
        """Raise ValueError where `mean_fraction` is invalid."""
        fraction: Any = self.mean_fraction
        if isinstance(fraction, str) and fraction == "auto":
            return
        is_number = isinstance(fraction, Real)
        if not is_number or not 0.0 <= float(fraction) < 1.0:
            raise ValueError(
                f"mean_fraction of {self!r} must be 'auto' or a number in [0, 1). Got "
                f"{fraction!r}."
            )


class Reconstruction(Objective):
    r"""The loss of a plain autoencoder, :math:`-\log p(x \mid z)` [1]_.

    References
    ----------
    .. [1] Hinton & Salakhutdinov (2006). Reducing the dimensionality of data with
       neural networks. Science 313. https://doi.org/10.1126/science.1127647

    Examples
    --------
    >>> Reconstruction()
    Reconstruction()
    """

    names = ("reconstruction",)
    has_written_gradient = True

    def terms(self, model: Model, batch: Batch, noise: Tensor) -> Terms:
        """Return the reconstruction at the posterior mean.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)
            Not used.

        Returns
        -------
        terms : dict of str to Tensor of shape (B,)
        """
        return {"reconstruction": -model.log_prob(model.posterior_mean(batch), batch)}


OBJECTIVES["elbo"] = ELBO
