"""Posteriors of normal components and categorical variables."""

import torch
from torch import Tensor

from skvae.priors._posterior import Normal, Posterior

LEAST_PROBABILITY = 1e-30
"""Least probability of a category that outputs are made of."""

NORMAL = Normal()


def _one_hot(scores: Tensor) -> Tensor:
    """Return 1 at the largest of the last axis, and 0 elsewhere."""
    return torch.zeros_like(scores).scatter(-1, scores.argmax(-1, keepdim=True), 1.0)


class NormalAndCategorical(Posterior):
    r"""Independent normal components, then categorical variables.

    .. math:: q(z \mid x) = \prod_m \mathcal{N}(u_m; \mu_m, \sigma_m^2)
        \prod_v \mathrm{Cat}(c_v; \mathrm{softmax}(\ell_v))

    where z consists of u and, for each variable, of as many columns as it has
    categories, of which that of its category is 1 and the others are 0. The outputs are
    the means, the logits, then the log-variances before they are bounded.

    Draws are exact, :math:`c = \arg\max_j (\ell_j + g_j)` with Gumbel noise g, and so
    are their log-probabilities. Their gradient is that of the relaxed draws

    .. math:: \mathrm{softmax}((\ell + g) / \tau)

    [1]_, section 2.2 (the straight-through estimator) and [2]_, equation 10. It is
    biased; the values are not.

    Parameters
    ----------
    categories : tuple of int
        Number of categories of each variable.
    temperature : float
        That of the relaxation, :math:`\tau`.

    References
    ----------
    .. [1] Jang, Gu & Poole (2017). Categorical reparameterization with Gumbel-softmax.
       ICLR. https://arxiv.org/abs/1611.01144
    .. [2] Maddison, Mnih & Teh (2017). The concrete distribution: A continuous
       relaxation of discrete random variables. ICLR. https://arxiv.org/abs/1611.00712

    Examples
    --------
    >>> import torch
    >>> posterior = NormalAndCategorical((3,), temperature=0.5)
    >>> outputs = torch.tensor([[1.5, 0.0, 9.0, 0.0, -1.0]])  # of 1 + 3 components
    >>> noise = torch.zeros((1, 4))
    >>> posterior.draw(outputs, noise)
    tensor([[1.5000, 0.0000, 1.0000, 0.0000]])
    """

    has_linear_start = True

    def __init__(self, categories: tuple[int, ...], temperature: float) -> None:
        self.categories, self.temperature = categories, temperature

    def _parts(self, z: Tensor) -> list[Tensor]:
        """Return the normal components of z, then the columns of each variable."""
        sizes = self.n_real(z.shape[-1]), *self.categories
        return list(z.split(sizes, dim=-1))

    def normal_of(self, outputs: Tensor) -> tuple[Normal, Tensor]:
        """Return the family of the normal components, and their outputs."""
        return NORMAL, self._normal(outputs)

    def _normal(self, outputs: Tensor) -> Tensor:
        n_real = self.n_real(self._n_components(outputs))
        log_variances = outputs[..., outputs.shape[-1] - n_real :]
        return torch.cat((outputs[..., :n_real], log_variances), dim=-1)

    def _n_components(self, outputs: Tensor) -> int:
        return (outputs.shape[-1] + sum(self.categories)) // 2

    def log_probabilities(self, outputs: Tensor) -> list[Tensor]:
        """Return log-probabilities of the categories of each variable, (B, C) each."""
        _, *logits = self._parts(outputs[..., : self._n_components(outputs)])
        return [each.log_softmax(-1) for each in logits]

    def n_outputs(self, n_components: int) -> int:
        """Return K, and one more for each normal component."""
        return n_components + self.n_real(n_components)

    def outputs_of(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return means, logarithms of probabilities, and log-variances."""
        normal, *probabilities = self._parts(mean)
        logits = [each.clamp_min(LEAST_PROBABILITY).log() for each in probabilities]
        return torch.cat((normal, *logits, 2.0 * self._parts(std)[0].log()), dim=-1)

    def draw(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Return draws, with the gradient of relaxed ones."""
        normal, *others = self._parts(noise)
        drawn = [NORMAL.draw(self._normal(outputs), normal)]
        pairs = zip(self.log_probabilities(outputs), others, strict=True)
        drawn += [self._draw_category(*pair) for pair in pairs]
        return torch.cat(drawn, dim=-1)

    def _draw_category(self, logits: Tensor, noise: Tensor) -> Tensor:
        # The normal distribution function of the noise is uniform.
        least = torch.finfo(noise.dtype).tiny
        gumbel = -(-torch.special.log_ndtr(noise)).clamp_min(least).log()
        scores = logits + gumbel
        relaxed = (scores / self.temperature).softmax(-1)
        return _one_hot(scores) + (relaxed - relaxed.detach())

    def log_prob(self, outputs: Tensor, z: Tensor) -> Tensor:
        """Return the normal log-density plus the log-probability of the categories."""
        normal, *categories = self._parts(z)
        log_prob = NORMAL.log_prob(self._normal(outputs), normal)
        pairs = zip(self.log_probabilities(outputs), categories, strict=True)
        return log_prob + sum((a * b).sum(-1) for a, b in pairs)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the means, then the probabilities."""
        probabilities = [each.exp() for each in self.log_probabilities(outputs)]
        return torch.cat((NORMAL.mean(self._normal(outputs)), *probabilities), dim=-1)

    def std(self, outputs: Tensor) -> Tensor:
        """Return the standard deviations of z, also of columns that are 0 or 1."""
        p = [each.exp() for each in self.log_probabilities(outputs)]
        stds = [(each * (1.0 - each)).sqrt() for each in p]
        return torch.cat((NORMAL.std(self._normal(outputs)), *stds), dim=-1)

    def moved(self, z: Tensor, step: Tensor, random: torch.Generator) -> Tensor:
        """Return z with normal components a step away, and one new category at times.

        A variable that is drawn uniformly gets a category that is drawn uniformly, with
        probability one half: such a proposal is symmetric.
        """
        normal, *categories = self._parts(z)
        which = self._uniform(z, random) * 2.0 * len(categories)
        for i, old in enumerate(categories):
            scores = torch.rand(old.shape, generator=random, device=random.device)
            new = _one_hot(scores).to(old)
            categories[i] = torch.where(which.floor() == i, new, old)
        return torch.cat((normal + self._parts(step)[0], *categories), dim=-1)

    @staticmethod
    def _uniform(z: Tensor, random: torch.Generator) -> Tensor:
        shape = (*z.shape[:-1], 1)
        return torch.rand(shape, generator=random, device=random.device)

    def whole(self, values: Tensor) -> Tensor:
        """Return values (..., K) with the sum of a variable at each column of it."""
        normal, *categories = self._parts(values)
        sums = [each.sum(-1, keepdim=True).expand_as(each) for each in categories]
        return torch.cat((normal, *sums), dim=-1)
