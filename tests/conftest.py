"""What all tests share. Fixtures of one area live in that area's conftest."""

import os

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("dispatch_core.testing")

# Generated examples must not fail on a slow machine, and a gate must give one verdict for one commit.
settings.register_profile("test", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.register_profile("soak", parent=settings.get_profile("test"), max_examples=5_000, derandomize=False)
settings.load_profile(os.environ.get("DISPATCH_TEST_PROFILE", "test"))
