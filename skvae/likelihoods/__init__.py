r"""p(x given z): what a column is, how it is encoded, scored and drawn.

A *spec* such as `Gaussian()` is what a user passes as `likelihood=`; it holds
parameters only. Its `resolve` takes from the data what the size of a model depends on,
and its `build` gives a *model*, a `torch.nn.Module` that owns everything about the
columns of `X`: their domain, their statistics, what the encoder sees, the log-density
of a row under the decoder's outputs, and draws. Inside, `x` is in *model units*, which
`prepare` computes from `X`; answers to users are in the units of `X`.
"""

from skvae.likelihoods._assign import BY_KIND as BY_KIND
from skvae.likelihoods._assign import Known as Known
from skvae.likelihoods._assign import check_cells as check_cells
from skvae.likelihoods._assign import check_rows as check_rows
from skvae.likelihoods._assign import fitted_likelihood as fitted_likelihood
from skvae.likelihoods._assign import learn_columns as learn_columns
from skvae.likelihoods._bernoulli import Bernoulli
from skvae.likelihoods._categorical import Categorical
from skvae.likelihoods._columns import Columns
from skvae.likelihoods._columns import as_likelihood as as_likelihood
from skvae.likelihoods._continuous_bernoulli import ContinuousBernoulli
from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._forms import LINKS as LINKS
from skvae.likelihoods._gaussian import Gaussian
from skvae.likelihoods._linearization import Linearization
from skvae.likelihoods._log_normal import LogNormal
from skvae.likelihoods._negative_binomial import NegativeBinomial
from skvae.likelihoods._normal_scores import NormalScores
from skvae.likelihoods._ordinal import Ordinal
from skvae.likelihoods._poisson import Poisson
from skvae.likelihoods._student_t import StudentT
from skvae.likelihoods._suggest import suggest_likelihood as suggest_likelihood
from skvae.likelihoods._table import LIKELIHOODS as LIKELIHOODS
from skvae.likelihoods._zero_inflated import ZeroInflatedNegativeBinomial

__all__ = [
    "Bernoulli",
    "Categorical",
    "Columns",
    "ContinuousBernoulli",
    "Gaussian",
    "Likelihood",
    "LikelihoodModel",
    "Linearization",
    "LogNormal",
    "NegativeBinomial",
    "NormalScores",
    "Ordinal",
    "Poisson",
    "StudentT",
    "ZeroInflatedNegativeBinomial",
]
