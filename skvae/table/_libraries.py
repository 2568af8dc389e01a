"""Packages of tables: how to take tables apart and make them; neither is required."""

from collections.abc import Container, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from skvae.table._kinds import Column, values
from skvae.table._types import pandas_type, polars_type, zone_of


class Pandas:
    """Tables of pandas."""

    dtype = staticmethod(pandas_type)

    @staticmethod
    def columns(X: Any) -> list:
        """Return the columns of a table; two of them may have the same name."""
        return [X.iloc[:, j] for j in range(X.shape[1])]

    @staticmethod
    def levels(X: Any) -> tuple:
        """Return the names of the levels of column names."""
        return tuple(X.columns.names)

    @staticmethod
    def series(column: Column, numbers: np.ndarray, like: Any = None) -> Any:
        """Return numbers or codes as a column, labeled as another table."""
        import pandas as pd

        dtype = Pandas.dtype(column.dtype, column.categories, column.ordered)
        index = None if like is None else like.index
        found = pd.Series(values(numbers, column), index)
        zone = zone_of(column.dtype) if column.kind == "datetime" else None
        if zone and column.categories is None:
            found = found.dt.tz_localize("UTC").dt.tz_convert(zone)
        return found.astype(dtype)

    @staticmethod
    def table(names: Sequence, levels: Sequence, series: Sequence) -> Any:
        """Return columns as a table with these names, whose levels have names too."""
        import pandas as pd

        table = pd.DataFrame(dict(enumerate(series)))
        if len(levels) > 1:
            table.columns = pd.MultiIndex.from_tuples(names, names=levels)
        else:
            table.columns = pd.Index(names, name=levels[0], tupleize_cols=False)
        return table

    @staticmethod
    def blank(column: Any, missing: np.ndarray) -> Any:
        """Return a column in which some cells are missing."""
        return column.mask(missing)

    @staticmethod
    def fill(own: Any, missing: np.ndarray, series: Any) -> Any:
        """Return a column in the type of another one, from which it takes cells.

        Raises ValueError or TypeError where that type cannot hold its other cells.
        """
        if own.dtype == series.dtype:
            return own.where(~missing, series)
        # Filled before it is converted: what counts as missing need not be convertible.
        filled = own.astype(object).where(~missing, series.astype(object))
        return filled.astype(series.dtype)

    @staticmethod
    def with_columns(X: Any, filled: dict[int, Any]) -> Any:
        """Return a table with others in place of some columns."""
        table = X.copy()
        for j, series in filled.items():
            table.isetitem(j, series)
        return table

    @staticmethod
    def append(X: Any, names: Sequence[str], values: np.ndarray) -> Any:
        """Return a table with columns appended; of several levels, the first is named.

        Parameters
        ----------
        X : DataFrame
        names : sequence of str
        values : ndarray of shape (n_samples, n_names)
        """
        import pandas as pd

        added = pd.DataFrame(values, X.index, names)
        if X.columns.nlevels > 1:
            rest = ("",) * (X.columns.nlevels - 1)
            added.columns = pd.MultiIndex.from_tuples([(n, *rest) for n in names])
        return pd.concat([X, added.rename_axis(columns=X.columns.names)], axis=1)

    @staticmethod
    def of(columns: Mapping[str, Any]) -> Any:
        """Return named columns as a table."""
        import pandas as pd

        return pd.DataFrame(columns)

    @staticmethod
    def matrix(values: np.ndarray, rows: Sequence, columns: Sequence) -> Any:
        """Return a matrix with names of rows and columns as a table."""
        import pandas as pd

        return pd.DataFrame(values, rows, columns)


class Polars:
    """Tables of polars."""

    dtype = staticmethod(polars_type)

    @staticmethod
    def columns(X: Any) -> list:
        """Return the columns of a table."""
        return X.get_columns()

    @staticmethod
    def levels(X: Any) -> tuple:
        """Return the names of the levels of column names: there is one."""
        return (None,)

    @staticmethod
    def series(column: Column, numbers: np.ndarray, like: Any = None) -> Any:
        """Return numbers or codes as a column."""
        import polars as pl

        cells = values(numbers, column)
        listed = cells if cells.dtype.kind in "Mm" else cells.tolist()
        dtype = Polars.dtype(column.dtype, column.categories, column.ordered)
        return pl.Series(column.name, listed, dtype=dtype)

    @staticmethod
    def table(names: Sequence, levels: Sequence, series: Sequence) -> Any:
        """Return columns, which have their names, as a table."""
        import polars as pl

        return pl.DataFrame(series)

    @staticmethod
    def blank(column: Any, missing: np.ndarray) -> Any:
        """Return a column in which some cells are missing."""
        import polars as pl

        none = pl.Series([None] * len(column), dtype=column.dtype)
        return column.zip_with(pl.Series(~missing), none)

    @staticmethod
    def fill(own: Any, missing: np.ndarray, series: Any) -> Any:
        """Return a column in the type of another one, from which it takes cells.

        Raises ValueError or TypeError where that type cannot hold its other cells.
        """
        import polars as pl

        # What counts as missing need not be convertible.
        cast = own.cast(series.dtype, strict=False)
        return cast.zip_with(pl.Series(~missing), series)

    @staticmethod
    def with_columns(X: Any, filled: dict[int, Any]) -> Any:
        """Return a table with others in place of some columns."""
        return X.with_columns(
            series.alias(X.columns[j]) for j, series in filled.items()
        )

    @staticmethod
    def append(X: Any, names: Sequence[str], values: np.ndarray) -> Any:
        """Return a table with columns appended."""
        return X.with_columns(**dict(zip(names, values.T, strict=True)))

    @staticmethod
    def of(columns: Mapping[str, Any]) -> Any:
        """Return named columns as a table."""
        import polars as pl

        return pl.DataFrame(columns)

    @staticmethod
    def matrix(values: np.ndarray, rows: Sequence, columns: Sequence) -> Any:
        """Return a matrix as a table; the names of its rows are the first column."""
        named = dict(zip(columns, values.T, strict=True))
        return Polars.of({new_name("component", named): list(rows), **named})


def new_name(name: str, taken: Container[str]) -> str:
    """Return a name, with "_" added until no column has it."""
    return next(n for n in (name + "_" * k for k in count()) if n not in taken)


LIBRARIES: dict[str, Any] = {"pandas": Pandas, "polars": Polars}


def library_of(X: Any) -> str | None:
    """Return which package a table, or one derived from it, is of; None if of none."""
    for base in type(X).__mro__:
        package = base.__module__.partition(".")[0]
        if package in LIBRARIES and base.__name__ == "DataFrame":
            return package
    return None


def table_of(library: str | None, columns: Mapping[str, Any]) -> Any:
    """Return named columns as a table of a package, or as they are."""
    return columns if library is None else LIBRARIES[library].of(columns)


def matrix_of(
    library: str | None, values: np.ndarray, rows: Sequence, columns: Sequence
) -> Any:
    """Return a matrix with names as a table of a package, or as it is."""
    return (
        values if library is None else LIBRARIES[library].matrix(values, rows, columns)
    )


USUAL = {
    "pandas": {
        "number": "float64",
        "boolean": "boolean",
        "category": "object",
        "level": "object",
        "datetime": "datetime64[us]",
        "timedelta": "timedelta64[us]",
        "object": "object",
    },
    "polars": {
        "number": "Float64",
        "boolean": "Boolean",
        "category": "String",
        "level": "String",
        "datetime": "Datetime(time_unit='us', time_zone=None)",
        "timedelta": "Duration(time_unit='us')",
        "object": "String",
    },
}
"""Types that hold the cells of a kind of column, which another package may have."""


def usual(column: Column, library: str) -> Column:
    """Return a column in the type of a package that holds cells of its kind."""
    return column._replace(dtype=USUAL[library][column.kind])
