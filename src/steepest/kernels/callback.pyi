# Types of callback.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from typing import Any

from .function import SIGNATURES as SIGNATURES
from .function import BatchFunction as BatchFunction
from .function import Compiled as Compiled
from .function import Function as Function
from .function import Memory as Memory
from .function import PythonFunction as PythonFunction
from .function import ScalarFunction as ScalarFunction

__pyx_capi__: dict[str, Any]
