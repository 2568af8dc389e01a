"""The loss of a regularized deterministic autoencoder."""

from torch import Tensor

from skvae._model import Model
from skvae.objectives._contract import OBJECTIVES, Objective, Terms
from skvae.schedules import Schedule, Weight, as_weight
from skvae.table import Batch


class RAE(Objective):
    r"""A regularized deterministic autoencoder, for `prior=NoPrior()`.

    .. math:: -\log p(x \mid z) + \frac{\beta}{2} \| z \|^2
        + \lambda \| \theta \|^2, \quad z = \mu(x),

    with the parameters :math:`\theta` of the decoder [1]_, equations 10 and 11, where
    :math:`\beta` is `weight`. Rows are drawn from a distribution that is fitted to z
    after training: `sampler` of the estimator, by default a mixture of normal
    distributions [1]_, section 4.

    Parameters
    ----------
    weight : float, Schedule or Weight, default=0.01
        Weight of half the squared length of z.
    decoder_weight : float, Schedule or Weight, default=1e-4
        Weight of the squared length of the decoder's parameters, biases apart.

    Raises
    ------
    ValueError
        In `fit`, if a parameter is invalid. In methods that need a density of rows:
        there is none.

    See Also
    --------
    skvae.priors.NoPrior : The prior that goes with it.
    Reconstruction : The loss without these terms.

    Notes
    -----
    `beta` of the estimator must be "auto", since there is no divergence. With another
    prior, rows are decoded at the mean of their posterior.

    References
    ----------
    .. [1] Ghosh, Sajjadi, Vergari, Black & Schölkopf (2020). From variational to
       deterministic autoencoders. ICLR. https://arxiv.org/abs/1903.12436

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> from skvae.priors import NoPrior
    >>> options = {"max_iter": 5, "tol": None, "random_state": 0}
    >>> rae = VAETransformer(2, prior=NoPrior(), objective=RAE(), **options)
    >>> rae.fit(load_iris().data).sample(2, random_state=0).shape
    (2, 4)
    """

    names = ("reconstruction", "size", "decoder")

    def __init__(
        self,
        weight: float | Schedule | Weight = 0.01,
        decoder_weight: float | Schedule | Weight = 1e-4,
    ) -> None:
        self.weight = weight
        self.decoder_weight = decoder_weight

    def terms(self, model: Model, batch: Batch, noise: Tensor) -> Terms:
        """Return the reconstruction, and the sizes of z and of the decoder.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)
            Not used.

        Returns
        -------
        terms : dict of str to Tensor of shape (B,) or ()
        """
        z = model.posterior_mean(batch)
        decoder = model.decoder
        sizes = (p.square().sum() for p in decoder.parameters() if p.dim() > 1)
        return {
            "reconstruction": -model.log_prob(z, batch),
            "size": 0.5 * z.square().sum(-1),
            "decoder": sum(sizes, start=z.new_zeros(())),
        }

    def weights(self) -> dict[str, Weight]:
        """Return the weights of the two sizes.

        Returns
        -------
        weights : dict of str to Weight
        """
        weights = {"size": self.weight, "decoder": self.decoder_weight}
        return {name: as_weight(weight) for name, weight in weights.items()}

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid."""
        self.weights()


OBJECTIVES["rae"] = RAE
