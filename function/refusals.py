"""The two ways in which files are turned down, apart from what reads them: to be caught without loading that."""


class UnreadableError(Exception):
    """A file cannot be used; the message is `FILE: what` or `FILE:LINE: what`."""


class RefusedError(Exception):
    """Claims that are invalid; the message has one `FILE:LINE: path: what, and what would be right` a line."""
