"""What a machine may lack, and CI may not."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """End a test that cannot run without something: a failure in CI, a skip on a laptop.

    what : "install PostgreSQL"
    """
    if os.environ.get("CI"):
        pytest.fail(f"needed in CI: {what}")
    pytest.skip(f"to run this test: {what}")
