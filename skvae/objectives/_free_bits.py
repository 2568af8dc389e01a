"""A KL term that costs nothing below a number of nats."""

from torch import Tensor

from skvae._model import Model
from skvae.objectives._contract import OBJECTIVES, Objective, Terms, Wrapper, fractions
from skvae.schedules import require
from skvae.table import Batch


class FreeBits(Wrapper):
    r"""Nats that the KL term of another objective does not count.

    The term becomes, for a batch,

    .. math:: \sum_k \max\left(\lambda, \frac1B \sum_i
        \mathrm{KL}(q(z_k \mid x_i) \,\|\, p(z_k))\right)

    [1]_, equation 15 of appendix C.8, or the same with the divergence of all components
    in place of the sum. Below :math:`\lambda` nats a component costs nothing, and so
    there is no gain from switching it off.

    Parameters
    ----------
    base : str or Objective, default="elbo"
        The objective whose term `"kl"` is replaced.
    nats : float, default=0.25
        Free nats :math:`\lambda` of each component, or of all together.
    per : {"component", "row"}, default="component"
        Whether each component has free nats, or a row has them for all components
        together. `"component"` requires a prior with a divergence per component, such
        as the standard normal one.

    Raises
    ------
    ValueError
        In `fit`: if a parameter is invalid, the base has no term `"kl"`, or the prior
        has no divergence per component.

    See Also
    --------
    IWAE : A bound that also keeps more components in use.

    Notes
    -----
    The term in `term_curves_` is the one that counts, at least the free nats.

    References
    ----------
    .. [1] Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling (2016). Improved
       variational inference with inverse autoregressive flow. NeurIPS.
       https://arxiv.org/abs/1606.04934

    Examples
    --------
    >>> FreeBits(nats=0.5)
    FreeBits(nats=0.5)
    """

    goes_inside = True

    def __init__(
        self,
        base: str | Objective = "elbo",
        nats: float = 0.25,
        per: str = "component",
    ) -> None:
        self.base = base
        self.nats = nats
        self.per = per

    def terms(self, model: Model, batch: Batch, noise: Tensor) -> Terms:
        """Return the terms of the base, with free nats in the KL term.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        terms : dict of str to Tensor of shape (B,) or ()
        """
        model = model.having_encoded(batch)
        terms = self._base.terms(model, batch, noise)
        parts = {"row": _together, "component": _per_component}
        kl = fractions(batch) @ parts[self.per](terms["kl"], model, batch)
        return {**terms, "kl": kl.clamp_min(self.nats).sum()}

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid, or nothing is to be free."""
        super().check()
        require(self, "nats", lambda nats: nats >= 0, "a number of at least 0")
        if self.per not in ("component", "row"):
            raise ValueError(
                f"per of {self!r} must be 'component' or 'row'. Got {self.per!r}."
            )
        if "kl" not in self.names:
            raise ValueError(
                f"Free nats require an objective with a term 'kl'. Got {self.base!r} "
                f"with {self.names}. Use base='elbo'."
            )


def _together(kl: Tensor, model: Model, batch: Batch) -> Tensor:
    return kl.expand(len(batch))[:, None]


def _per_component(kl: Tensor, model: Model, batch: Batch) -> Tensor:
    found = model.prior.kl_per_component(model.posterior, model.encode(batch))
    if found is None:
        raise ValueError(
            "FreeBits(per='component') requires a prior with a divergence per "
            f"component. Got {type(model.prior).__name__}. Use per='row', or "
            "prior='normal'."
        )
    return found


OBJECTIVES["free_bits"] = FreeBits
