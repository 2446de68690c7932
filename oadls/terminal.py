"""What a command prints: text as it is, whatever letters the terminal or the log takes."""

from rich.console import Console

WIDTH = 112  # of what is printed into a file or a pipe


def console(*, width: int = WIDTH) -> Console:
    """A console that takes no name for a markup: "[red]" is printed.

    width : where the output is no terminal
    """
    found = Console(markup=False, emoji=False, highlight=False)
    if not found.is_terminal:
        found.width = width
    return found
