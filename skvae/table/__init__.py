"""`X` as users pass it → validated once → distinct rows, and batches."""

from skvae.table._batch import Batch as Batch
from skvae.table._batches import Batches as Batches
from skvae.table._cells import Cells as Cells
from skvae.table._cells import as_cells as as_cells
from skvae.table._cells import can_be_shared as can_be_shared
from skvae.table._cells import plain as plain
from skvae.table._cells import row_slices as row_slices
from skvae.table._columns import Part as Part
from skvae.table._columns import assign_columns as assign_columns
from skvae.table._device import available_device as available_device
from skvae.table._device import resolve_device as resolve_device
from skvae.table._frames import Layout as Layout
from skvae.table._frames import with_columns as with_columns
from skvae.table._hashes import content_hashes as content_hashes
from skvae.table._kinds import Column as Column
from skvae.table._kinds import is_missing as is_missing
from skvae.table._kinds import is_whole as is_whole
from skvae.table._kinds import values as values_of  # noqa: F401
from skvae.table._libraries import library_of as library_of
from skvae.table._libraries import matrix_of as matrix_of
from skvae.table._libraries import table_of as table_of
from skvae.table._read import Reader as Reader
from skvae.table._read import check_finite as check_finite
from skvae.table._read import read_table as read_table
from skvae.table._read import read_weights as read_weights
from skvae.table._read import refuse_sparse as refuse_sparse
from skvae.table._rows import Rows as Rows
from skvae.table._rows import canonical_rows as canonical_rows
from skvae.table._types import kind_of as kind_of
from skvae.table._types import zone_of as zone_of
