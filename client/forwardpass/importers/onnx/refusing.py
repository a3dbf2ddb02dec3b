"""How the reading of a node ends that cannot be expressed."""


class Refused(Exception):  # noqa: N818 - it never leaves this package
    """Ends the reading of one part; says why, as the rest of a sentence about that part."""
