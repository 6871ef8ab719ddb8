"""Functions that tests send to workers.

Here because another process finds a function by the module it stands in, and the files of tests cannot be imported
everywhere. Used by test_workers.py, test_cluster.py and faults/test_processes.py.
"""

import os
import signal
import threading
import time

import numpy as np


def bowl(x, *args, **kwargs):
    """A scalar function of an array; of numbers, too."""
    return (x * x).sum() + x.prod()


def bowls(x):
    """The same of many points at once."""
    return (x * x).sum(axis=1) + x.prod(axis=1)


def cube(t):
    """A function of one number."""
    return t * t * t


def curves(x, *args, **kwargs):
    """A vector function of a vector."""
    return np.array([(x * x).sum(), x.prod(), x[0] * x[-1], x.sum()])


def valley(x):
    """Rosenbrock's."""
    return 100 * (x[1:] - x[:-1] ** 2) @ (x[1:] - x[:-1] ** 2) + (1 - x[:-1]) @ (1 - x[:-1])


class Delayed:
    """A bowl that takes its time."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, x):
        time.sleep(self.seconds)
        return bowl(x)


class Away:
    """A function that refuses to be called in the process in which it was made."""

    def __init__(self, f):
        self.f, self.home = f, os.getpid()

    def __call__(self, x):
        assert os.getpid() != self.home, "f was called at home"
        return self.f(x)


class Traced:
    """A function that leaves a file named after each process that calls it."""

    def __init__(self, f, directory):
        self.f, self.directory = f, str(directory)

    def __call__(self, x):
        with open(os.path.join(self.directory, str(os.getpid())), "a") as file:
            file.write("called\n")
        return self.f(x)


class At:
    """A function that does something else at some points: ``act(x)`` gives what it returns there."""

    def __init__(self, f, points, act):
        self.f, self.points, self.act = f, [np.array(point) for point in points], act

    def __call__(self, x, *args, **kwargs):
        if any(np.array_equal(x, point) for point in self.points):
            return self.act(x)
        return self.f(x, *args, **kwargs)


class Raise:
    """An act that raises, after a while."""

    def __init__(self, error, seconds=0.0):
        self.error, self.seconds = error, seconds

    def __call__(self, x):
        time.sleep(self.seconds)
        raise self.error


class Give:
    """An act that returns something."""

    def __init__(self, result):
        self.result = result

    def __call__(self, x):
        return self.result


class Once:
    """An act that is done once in all processes together: the first to make a file does it, the others return."""

    def __init__(self, path, act, f):
        self.path, self.act, self.f = str(path), act, f

    def __call__(self, x):
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return self.f(x)
        return self.act(x)


def leave(x):
    """An act: end this process without a word."""
    os._exit(3)


def killed(x):
    """An act: this process is killed."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def crash(x):
    """An act: native code reads where there is nothing."""
    import ctypes
    import faulthandler

    faulthandler.disable()
    ctypes.string_at(0)


class Planned(Exception):
    """An exception with more to it than a text."""

    def __init__(self, *args):
        super().__init__(*args)
        self.detail = {"args": args}


class Stubborn(Exception):
    """An exception that pickle can write and not read."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Locked(Exception):
    """An exception that pickle cannot write."""

    def __init__(self):
        super().__init__("locked")
        self.lock = threading.Lock()


class Mute(Exception):
    """An exception whose text cannot be had."""

    def __str__(self):
        raise ZeroDivisionError


class Abrupt(BaseException):
    """Not an Exception."""
