"""A fitted model ↔ one file that is safe to load."""

from skvae.files._errors import ModelFileError
from skvae.files._save import load
from skvae.files._save import save as save

__all__ = ["ModelFileError", "load"]
