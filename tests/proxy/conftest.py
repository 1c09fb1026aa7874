"""What is shared with the tests of the whole."""

from tests.e2e.conftest import base, supervisor_image

__all__ = ["base", "supervisor_image"]
