"""CRC-32C (Castagnoli), from the crc32c package: `crc32c(data, crc=0, gil_mode=-1) -> int`.

The package looks up its own version and builds a command line when it is imported, which takes
five times as long as everything else here together. So its extension module is loaded alone;
where that is not to be found by its name, the package is imported like any other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any


def _load() -> Callable[..., int]:
    module: Any = sys.modules.get("crc32c") or _extension()
    if module is None:
        import crc32c as module
    function: Callable[..., int] = module.crc32c
    return function


def _extension() -> Any:
    package = PathFinder.find_spec("crc32c")
    if package is None or package.submodule_search_locations is None:
        return None
    spec = PathFinder.find_spec("crc32c._crc32c", package.submodule_search_locations)
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module if hasattr(module, "crc32c") else None


KEEP_GIL_IF_SHORT = -1  # below 32 KiB
RELEASE_GIL = 1

crc32c = _load()
