"""Which tests hold the rows of the fault table, and the invariants that go with them.

A row's tests together compare the whole answer, show its effect, and have a good model answer right after on the same
worker. ``tests/house/test_fault_rows.py`` makes sure that each of them is there.
"""

from typing import Final

from tests.fault_rows import requests, storage

ROWS: Final = {**requests.ROWS, **storage.ROWS}
INVARIANTS: Final = storage.INVARIANTS
