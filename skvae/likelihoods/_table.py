"""Names of likelihoods."""

from skvae.likelihoods._bernoulli import Bernoulli
from skvae.likelihoods._categorical import Categorical
from skvae.likelihoods._continuous_bernoulli import ContinuousBernoulli
from skvae.likelihoods._contract import Likelihood
from skvae.likelihoods._gaussian import Gaussian
from skvae.likelihoods._log_normal import LogNormal
from skvae.likelihoods._negative_binomial import NegativeBinomial
from skvae.likelihoods._normal_scores import NormalScores
from skvae.likelihoods._ordinal import Ordinal
from skvae.likelihoods._poisson import Poisson
from skvae.likelihoods._student_t import StudentT
from skvae.likelihoods._zero_inflated import ZeroInflatedNegativeBinomial

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "categorical": Categorical,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "log_normal": LogNormal,
    "negative_binomial": NegativeBinomial,
    "normal_scores": NormalScores,
    "ordinal": Ordinal,
    "poisson": Poisson,
    "student_t": StudentT,
    "zero_inflated_negative_binomial": ZeroInflatedNegativeBinomial,
}
