"""Model + batch → named terms of a loss, and bounds on log p(x)."""

from skvae.objectives._bounds import BOUNDS as BOUNDS
from skvae.objectives._bounds import Draws as Draws
from skvae.objectives._bounds import elbo_bound, importance_bound
from skvae.objectives._bounds import weigh as weigh
from skvae.objectives._contract import OBJECTIVES as OBJECTIVES
from skvae.objectives._contract import AddedTerm, Objective, Wrapper
from skvae.objectives._contract import Shape as Shape
from skvae.objectives._contract import as_objective as as_objective
from skvae.objectives._denoising import Denoising
from skvae.objectives._elbo import ELBO, Reconstruction
from skvae.objectives._free_bits import FreeBits
from skvae.objectives._iwae import IWAE
from skvae.objectives._mmd import MMD
from skvae.objectives._neighbors import Neighbors
from skvae.objectives._nested import NestedDropout
from skvae.objectives._rae import RAE
from skvae.objectives._total_correlation import TotalCorrelation

__all__ = [
    "ELBO",
    "IWAE",
    "MMD",
    "RAE",
    "AddedTerm",
    "Denoising",
    "FreeBits",
    "Neighbors",
    "NestedDropout",
    "Objective",
    "Reconstruction",
    "TotalCorrelation",
    "Wrapper",
    "elbo_bound",
    "importance_bound",
]
