"""The one error a user is meant to read."""

from hydra.errors import CompactHydraException


class UserError(CompactHydraException):
    """Something that the user can mend: a bad image, a wrong setting, a missing folder.

    Hydra prints the message of this family alone, without a traceback.
    The message names the thing, the rule and what came: "split: patient P7 is in train and test".
    """
