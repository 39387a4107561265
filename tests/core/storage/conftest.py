"""The shipped suite explains its failures like any test."""

import pytest

pytest.register_assert_rewrite("dispatch_core.testing")
