"""The one error that a user is meant to read."""


class UserError(Exception):
    """Something that the user can mend: a bad image, a wrong setting, a missing folder.

    The message names the thing, the rule and what came: "split: patient P7 is in train and test".
    """
