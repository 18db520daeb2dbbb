"""The garbage collector is kept from what stays: modules, which make thousands of objects and hardly any garbage."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def spared() -> Iterator[None]:
    """The collector does not look while the block imports, nor ever at what is there when it ends.

    Its looks take a fifth of an import, and each of the whole heap a sixth of a second once LangGraph is there.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
