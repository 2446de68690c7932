"""The one error that a user is meant to read."""


class UserError(Exception):
    """Something that the user can mend: a bad image, a wrong setting, a missing folder.

    The message names the thing, the rule and what came: "split: patient P7 is in train and test".
    """

    def __str__(self) -> str:
        text = super().__str__()
        if text.startswith("Caught ") and "\nOriginal Traceback" in text:
            # PyTorch puts the traceback of a process that loads cells into the message
            return text.rstrip().rpartition("\n")[2].partition(": ")[2]
        return text
