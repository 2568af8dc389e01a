"""Claims about results, and whether they hold."""

from typing import NamedTuple

import pandas as pd


class Claim(NamedTuple):
    """A claim, what was found, what it needs, and the cases that break it."""

    verdict: str
    text: str
    found: str
    needed: str
    groups: str = ""
    broken: tuple = ()


def fraction(text, holds, needed=None, group_of=None):
    """Claim that something holds in at least a fraction of the cases.

    Parameters
    ----------
    text : str
    holds : Series of bool
        Whether it holds, by case.
    needed : float or None
        Least fraction; None only reports the fraction found.
    group_of : callable or None
        Maps the name of a data set to a group; fractions of groups are given, too.
    """
    groups = ""
    if group_of:
        by_group = holds.groupby(holds.index.get_level_values("data").map(group_of))
        groups = "; ".join(f"{name} {counted(mine)}" for name, mine in by_group)
    if needed is None or not len(holds):
        return Claim("–", text, counted(holds), "–", groups)
    verdict = verdict_of(holds.mean() >= needed)
    broken = tuple(holds.index[~holds])
    return Claim(verdict, text, counted(holds), f"{needed:.0%}", groups, broken)


def verdict_of(holds):
    """Return the verdict on a claim, as text."""
    return "holds" if holds else "**fails**"


def counted(holds):
    """Return in how many cases something holds, as text."""
    text = f"{holds.sum()} of {len(holds)}"
    return f"{text} ({holds.mean():.1%})" if len(holds) >= 20 else text


def at_most(text, value, bound):
    """Claim that a number is at most a bound; NaN is not known."""
    is_known = not pd.isna(value)
    verdict = verdict_of(value <= bound) if is_known else "–"
    return Claim(verdict, text, f"{value:.2f}" if is_known else "–", f"<= {bound:.2f}")


def table(claims):
    """Return the claims as a table of a page."""
    frame = pd.DataFrame(claims, columns=Claim._fields).drop(columns="broken")
    frame.columns = ["verdict", "claim", "found", "needed", "by group"]
    return frame if frame["by group"].any() else frame.drop(columns="by group")
