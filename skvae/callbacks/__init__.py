"""Callbacks for long fits, and how a fit goes on where it was cut off."""

from skvae.callbacks._checkpoint import Checkpoint
from skvae.callbacks._resume import resume as resume

__all__ = ["Checkpoint"]
