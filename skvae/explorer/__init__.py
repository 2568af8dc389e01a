"""A fitted model and the rows it maps as one page, in which its decoder runs."""

from skvae.explorer._explore import Explorer, explore

__all__ = ["Explorer", "explore"]
