"""Categorical latent variables beside normal components."""

from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from skvae._sklearn import Interval
from skvae.priors._categories import NormalAndCategorical
from skvae.priors._posterior import Posterior
from skvae.priors._priors import Prior, PriorModel, StandardNormalModel


class CategoricalLatentsModel(PriorModel):
    """Standard normal components and uniform categorical variables, built."""

    probabilities: Tensor

    def __init__(self, n_components: int, posterior: NormalAndCategorical) -> None:
        super().__init__(n_components)
        self.posterior = posterior
        self.normal = StandardNormalModel(posterior.n_real(n_components))
        uniform = [torch.full((c,), 1.0 / c) for c in posterior.categories]
        probabilities = torch.cat([self.normal.zeros, *uniform]).float()
        self.register_buffer("probabilities", probabilities, persistent=False)

    def moments(self) -> tuple[Tensor, Tensor]:
        p = self.probabilities
        std = (p * (1.0 - p)).sqrt()
        std[: self.normal.n_components] = 1.0
        return p, std

    def _outputs(self, like: Tensor) -> Tensor:
        """Return the outputs of an encoder that knows no more than the prior."""
        return self.posterior.outputs_of(*(each.to(like) for each in self.moments()))

    def log_prob(self, z: Tensor) -> Tensor:
        return self.posterior.log_prob(self._outputs(z), z)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        shape, device = (n, self.n_components), generator.device
        kind: Any = {"dtype": torch.float64, "device": device}
        noise = torch.randn(shape, generator=generator, **kind)
        return self.posterior.draw(self._outputs(noise), noise)

    def kl(self, posterior: Posterior, outputs: Tensor, z: Tensor) -> Tensor:
        return self.kl_per_component(posterior, outputs).sum(-1)

    def kl_per_component(self, posterior: Posterior, outputs: Tensor) -> Tensor:
        normal: Any = self.normal.kl_per_component(*self.posterior.normal_of(outputs))
        log_p = torch.cat(self.posterior.log_probabilities(outputs), dim=-1)
        p, prior = log_p.exp(), self.probabilities[self.normal.n_components :].to(log_p)
        # The last two sum to zero; with them no category has less than none.
        categories = p * (log_p - prior.log()) - p + prior
        return torch.cat((normal, categories), dim=-1)

    def cluster_probabilities(
        self, posterior: Posterior, outputs: Tensor, noise: Tensor
    ) -> Tensor:
        """Return the probabilities of the first variable's categories, (B, C).

        Parameters
        ----------
        posterior : Posterior
        outputs : Tensor of shape (B, n_outputs)
        noise : Tensor of shape (S, 1, K)
            Not used: the encoder gives the probabilities.
        """
        return self.posterior.log_probabilities(outputs)[0].exp()


class CategoricalLatents(Prior):
    r"""Categorical variables beside standard normal components.

    .. math:: p(z) = \prod_m \mathcal{N}(u_m; 0, 1) \prod_v \tfrac1C

    A row has one of C categories, which nobody has named, of each of V variables, and
    varies within it in the components u. The components of z are u, ordered by what
    they carry, and then C columns for each variable: 1 for the row's category, 0 for
    others. `n_components` counts all of them and must be at least C V; with 10
    categories of one variable, `n_components=12` has two normal components.

    `transform` returns posterior means, which are probabilities in these columns: a
    variable's columns sum to one. `predict` returns the most probable category of the
    first variable, and `predict_proba` its probabilities.

    Parameters
    ----------
    n_categories : int, default=10
        Number of categories of each variable, C.
    n_variables : int, default=1
        Number of categorical variables, V.
    temperature : float, default=0.5
        Temperature of the relaxed draws that gradients come from [1]_, [2]_; see
        :class:`NormalAndCategorical`. Lower ones have less bias and more variance.

    Raises
    ------
    ValueError
        In `fit`, if a parameter is invalid, `n_components` is "auto" or too small, or
        `sampler` is neither "auto" nor "prior".

    See Also
    --------
    NormalAndCategorical : The posteriors that go with it.
    Mixture : Normal clusters of z, whose fractions are learned.

    Notes
    -----
    The model has discrete categories, in training as in all answers. The loss is its
    evidence lower bound at exact draws, with the divergence

    .. math:: \mathrm{KL} = \sum_m \tfrac12 (\mu_m^2 + \sigma_m^2 - 1
        - \log \sigma_m^2) + \sum_v \sum_c q_{vc} \log (C q_{vc}),

    and `score_samples` estimates log p(x), summed over categories. Only the gradient by
    a draw of a category is approximate: that of the relaxed draw, in which a
    relaxation's density [2]_ has no part. In `kl_per_component_` the columns of a
    variable sum to its divergence.

    With `init="pca"`, categories start as clusters by k-means, whose centers the linear
    path of the decoder adds, and normal components as the principal axes within them.
    With `init="random"` they start alike, and decoders mostly learn to ignore them. For
    clusters, `objective="neighbors"` and few normal components are best: rows that are
    alike then get the same category.

    References
    ----------
    .. [1] Jang, Gu & Poole (2017). Categorical reparameterization with Gumbel-softmax.
       ICLR. https://arxiv.org/abs/1611.01144
    .. [2] Maddison, Mnih & Teh (2017). The concrete distribution: A continuous
       relaxation of discrete random variables. ICLR. https://arxiv.org/abs/1611.00712

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> X = load_iris().data
    >>> prior = CategoricalLatents(n_categories=3)
    >>> vae = VAETransformer(4, prior=prior, max_iter=5, tol=None, random_state=0)
    >>> Z = vae.fit_transform(X)
    >>> Z.shape
    (150, 4)
    >>> bool(abs(Z[:, 1:].sum(axis=1) - 1).max() < 1e-6)
    True
    >>> vae.predict(X).shape
    (150,)
    """

    _parameter_constraints: dict = {
        "n_categories": [Interval(Integral, 2, None, closed="left")],
        "n_variables": [Interval(Integral, 1, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    has_clusters = True

    def __init__(
        self, n_categories: int = 10, n_variables: int = 1, temperature: float = 0.5
    ) -> None:
        self.n_categories = n_categories
        self.n_variables = n_variables
        self.temperature = temperature

    @property
    def posterior(self) -> NormalAndCategorical:  # type: ignore[override]
        """Family of q(z given x): normal components and categories."""
        categories = (self.n_categories,) * self.n_variables
        return NormalAndCategorical(categories, self.temperature)

    def check(self, n_components: str | int) -> None:
        """Raise ValueError where a parameter is invalid, or there are too few columns.

        Parameters
        ----------
        n_components : int or "auto"
        """
        self._validate_params()
        least = self.n_categories * self.n_variables
        if isinstance(n_components, str) or n_components < least:
            raise ValueError(
                f"n_components must be at least {least} with prior={self!r}: one for "
                "each category of each variable, and one for each normal component "
                f"besides. Got {n_components!r}. Use n_components={least + 2} for two "
                "normal components, or fewer categories."
            )

    def build(self, n_components: int) -> CategoricalLatentsModel:
        """Return a model of p(z).

        Parameters
        ----------
        n_components : int
            Number of components, K.

        Returns
        -------
        model : PriorModel
        """
        return CategoricalLatentsModel(n_components, self.posterior)
