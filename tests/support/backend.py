"""Which parts the tests run on: the embedded ones, or those of production.

``TESTS_ON=production`` puts PostgreSQL and S3 under every registry and every gateway of the tests.
"""

import os

import pytest

IS_PRODUCTION = os.environ.get("TESTS_ON") == "production"  # noqa: TID251 - a switch of the tests

embedded_only = pytest.mark.skipif(IS_PRODUCTION, reason="looks into SQLite's file or into the store's folder")
"""For tests that are about the embedded parts themselves."""
