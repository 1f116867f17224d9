"""The errors a user can do something about."""

from __future__ import annotations


class UserInputError(ValueError):
    """What the user gave cannot be worked with.

    The message is one sentence that names the file or option and says what to do. The command line prints
    it and exits with 2; the panel shows it as it is. Every other exception is a bug of ours.
    """


class StopRequested(Exception):
    """The work was asked to stop, and did so with nothing half-written."""
