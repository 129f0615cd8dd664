"""The object that a dotted address such as 'torch.optim.AdamW' names."""

import pydoc
from pydoc import ErrorDuringImport

__all__ = ["ErrorDuringImport", "locate"]


def locate(address: str) -> object:
    """Import the object that an address names; None if there is none.

    Raises:
        ErrorDuringImport: The object's module cannot be imported.
        KeyboardInterrupt: Ctrl-C came during the import. `pydoc.locate` itself reports it as an error of the module.
    """
    try:
        return pydoc.locate(address)
    except ErrorDuringImport as error:
        if isinstance(error.value, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
