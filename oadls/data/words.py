"""Lists of words, as prose keeps them."""


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())
