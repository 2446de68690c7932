"""Why a file cannot be used as an image."""

from oadls.errors import UserError


class BadImage(UserError):
    """A file that cannot be used as an image; the message begins with its path."""


class Unreadable(BadImage):
    """A file that could not be read this time: no permission, too many open files, no memory, a
    fault of the disk or the network. It says nothing about what is in the file.
    """
