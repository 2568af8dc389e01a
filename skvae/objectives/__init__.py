"""Model + batch → named terms of a loss, and bounds on log p(x)."""

from skvae.objectives._bounds import BOUNDS as BOUNDS
from skvae.objectives._bounds import Draws as Draws
from skvae.objectives._bounds import elbo_bound, importance_bound
from skvae.objectives._bounds import weigh as weigh
from skvae.objectives._contract import OBJECTIVES as OBJECTIVES
from skvae.objectives._contract import AddedTerm, Objective
from skvae.objectives._contract import Shape as Shape
from skvae.objectives._contract import as_objective as as_objective
from skvae.objectives._elbo import ELBO, Reconstruction
from skvae.objectives._iwae import IWAE
from skvae.objectives._neighbors import Neighbors

__all__ = [
    "ELBO",
    "IWAE",
    "AddedTerm",
    "Neighbors",
    "Objective",
    "Reconstruction",
    "elbo_bound",
    "importance_bound",
]
