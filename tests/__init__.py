"""Tests of the Python package; a package itself, so that `from tests.servers import ...` works below it."""
