"""A trained model and its rows → p(z) as the rows have it."""

import torch

from skvae._model import Model
from skvae.priors import Aggregate, Mixture, Prior, PriorModel, as_sampler
from skvae.table import Batches
from skvae.training import posteriors_of

N_DRAWS = 8
"""Draws of z for each held-out row, by which samplers are compared."""

LEAST_ROWS = 10
"""Fewer rows tell nothing about z."""

EVERY = 5
"""Of the training rows one of so many is held out where training held none out."""

Fitted = tuple[Prior, PriorModel | None]
"""A spec, and its model; None where that is the model's own prior."""


def check_sampler(said: str | Prior, prior: Prior) -> None:
    """Raise ValueError where a sampler cannot be fitted to z of this prior."""
    fits = isinstance(said, str) and said in ("auto", "prior")
    if prior.posterior.categories and not fits:
        raise ValueError(
            f"sampler must be 'auto' or 'prior' with prior={prior!r}: its z has "
            "categories, and other samplers are densities of real numbers. Got "
            f"{said!r}."
        )
    if not fits:
        as_sampler(said).check_as_sampler(prior)


def fit_sampler(
    said: str | Prior,
    prior: Prior,
    model: Model,
    train: Batches,
    held_out: Batches | None,
    seed: int,
) -> Fitted:
    """Return what z is drawn from, fitted to the posteriors of the training rows.

    Parameters
    ----------
    said : {"auto", "prior", "mixture", "posterior"} or Prior
        `"auto"`: a mixture, if draws from the posteriors of held-out rows are more
        likely under it than under the prior, or if that has no density.
    prior : Prior
        The spec of the model's prior.
    model : Model
    train, held_out : Batches
    seed : int
    """
    is_auto = isinstance(said, str) and said == "auto"
    has_prior, is_random = model.prior.has_density, model.posterior.is_random
    is_real = not model.posterior.categories and (is_random or not has_prior)
    has_nothing = not is_real or len(train) < LEAST_ROWS
    if said == "prior" or (is_auto and has_nothing):
        return prior, None
    rows = posteriors_of(model, train)
    if held_out is None:
        place = torch.arange(rows.n_rows)
        checked, rows = rows.take(place[::EVERY]), rows.take(place[place % EVERY > 0])
    else:
        checked = posteriors_of(model, held_out)
    spec = Mixture() if is_auto else as_sampler(said)
    spec, fitted = spec.fitted(rows, checked, seed)
    fitted.to(model.device)
    if is_auto and has_prior and not _gains(fitted, model.prior, checked, seed):
        return prior, None
    return spec, fitted


@torch.inference_mode()
def _gains(fitted: PriorModel, prior: PriorModel, rows: Aggregate, seed: int) -> bool:
    """Return whether z of rows is more likely than before, by more than chance."""
    z = torch.stack([rows.draw_each(seed, i) for i in range(N_DRAWS)]).to(prior.zeros)
    gain = (fitted.log_prob(z) - prior.log_prob(z)).double().mean(0).cpu()
    weights = rows.weights.double() / rows.weights.sum()
    mean = weights @ gain
    error = (weights @ (gain - mean).square() / rows.n_rows).sqrt()
    return bool(mean > error)
