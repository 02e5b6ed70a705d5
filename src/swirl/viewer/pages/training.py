"""Not written yet."""

from swirl.viewer.page import Asked, Page
from swirl.viewer.shelf import Opened


def view(run: Opened, asked: Asked) -> Page:
    """The page."""
    return Page("Training", {}, "")
