"""Making a mutant the running code: the function of that place gets another body.

Whoever imported the function by name has the mutant as well, since the function stays the same
object. It is done in a forked process, which ends with it.
"""

from __future__ import annotations

import gc
from types import CodeType, FunctionType

from tests.mutation.sites import Mutant


def apply(mutant: Mutant) -> None:
    """Mutate this process."""
    module = compile(mutant.tree, mutant.path, "exec", dont_inherit=True)
    code = _find_code(module, mutant)
    assert code is not None, f"{mutant.name} is nowhere"
    functions = [
        one
        for one in gc.get_objects()
        if isinstance(one, FunctionType) and is_of(one.__code__, mutant)
    ]
    assert functions, f"{mutant.name} is not running here"
    for function in functions:
        assert function.__code__.co_freevars == code.co_freevars, mutant.name
        function.__code__ = code


def is_of(code: CodeType, mutant: Mutant) -> bool:
    """Whether that is the code of the function that is mutated."""
    place = (code.co_filename, code.co_name, code.co_firstlineno)
    return place == (mutant.path, mutant.function, mutant.line)


def _find_code(code: CodeType, mutant: Mutant) -> CodeType | None:
    if is_of(code, mutant):
        return code
    nested = (one for one in code.co_consts if isinstance(one, CodeType))
    return next((found for one in nested if (found := _find_code(one, mutant))), None)
