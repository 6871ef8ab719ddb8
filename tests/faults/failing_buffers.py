"""An allocator for NumPy's data buffers that fails when it is told to, made of ctypes (NEP 49).

Here because the k-th buffer must fail for every k, and neither NumPy nor Python offers that.
It serves row F2 of the catalogue, in test_objects.py, in a process of its own.
"""

import ctypes

import numpy as np

from .contract import attempt

POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t
MALLOC = ctypes.PYFUNCTYPE(POINTER, POINTER, SIZE)
CALLOC = ctypes.PYFUNCTYPE(POINTER, POINTER, SIZE, SIZE)
REALLOC = ctypes.PYFUNCTYPE(POINTER, POINTER, POINTER, SIZE)


class Handler(ctypes.Structure):
    """PyDataMem_Handler, a name, a version and five words."""

    _fields_ = (("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", POINTER), ("malloc", POINTER),
                ("calloc", POINTER), ("realloc", POINTER), ("free", POINTER))


class FailingBuffers:
    """Let the k-th data buffer that NumPy asks for fail; and, when `on` is true, all after it.

    Memory comes from NumPy's own functions, and goes back to its own ``free`` without a detour through Python: buffers
    are freed while an exception is under way.
    """

    SET_HANDLER = 304           # PyDataMem_SetHandler in NumPy's table of functions
    NAME = b"mem_handler"

    def __init__(self):
        api = ctypes.pythonapi
        api.PyCapsule_GetPointer.restype, api.PyCapsule_GetPointer.argtypes = POINTER, [ctypes.py_object, POINTER]
        api.PyCapsule_New.restype = ctypes.py_object
        api.PyCapsule_New.argtypes = [POINTER, ctypes.c_char_p, POINTER]
        self.k, self.on, self.count = 0, False, 0
        table = ctypes.cast(api.PyCapsule_GetPointer(np._core.multiarray._ARRAY_API, None), ctypes.POINTER(POINTER))
        self.set = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[self.SET_HANDLER])
        self.handler = Handler(b"failing", 1)
        name = ctypes.create_string_buffer(self.NAME)
        self.capsule = api.PyCapsule_New(ctypes.addressof(self.handler), name, None)
        self.kept = [name, self.set(self.capsule)]
        self.default = self.kept[1]
        self.set(self.default)
        own = Handler.from_address(api.PyCapsule_GetPointer(self.default, ctypes.addressof(name)))
        malloc, calloc, realloc = MALLOC(own.malloc), CALLOC(own.calloc), REALLOC(own.realloc)
        hooks = [
            MALLOC(lambda context, n: malloc(context, n) if self.granted() else None),
            CALLOC(lambda context, n, each: calloc(context, n, each) if self.granted() else None),
            REALLOC(lambda context, old, n: realloc(context, old, n) if self.granted() else None),
        ]
        self.kept += hooks
        self.handler.malloc, self.handler.calloc, self.handler.realloc = (
            ctypes.cast(hook, POINTER).value for hook in hooks)
        self.handler.context, self.handler.free = own.context, own.free

    def granted(self):
        """Count a request, and say whether it is met."""
        self.count += 1
        return not (self.count == self.k or (self.on and 0 < self.k <= self.count))

    def __enter__(self):
        self.set(self.capsule)
        return self

    def __exit__(self, *exception):
        self.set(self.default)

    def attempt(self, k, on, call):
        """One call in which the k-th buffer fails."""
        self.k, self.on, self.count = k, on, 0
        try:
            return attempt(call)
        finally:
            self.k = 0
