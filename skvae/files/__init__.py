"""A fitted model ↔ one file that is safe to load."""

from skvae.files._errors import ModelFileError

__all__ = ["ModelFileError"]
