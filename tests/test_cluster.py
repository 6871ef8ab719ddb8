"""Evaluation on a cluster: a Dask cluster of two processes gives the bits, errors and counts of one process.

Here because a cluster pickles by value, has machines that vanish, and never forgets a task that nobody cancels. Tests
the executors of crews.py and what blocks.py sends them; pools of processes and threads are in test_workers.py.
"""

import concurrent.futures
import contextlib
import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
import sent

import steepest as sd

from .faults.contract import X, bits, message_of
from .test_workers import KINDS, failure, points_of

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

OPTIONS = [{}, {"order": 4}, {"method": "complex"}, {"full_output": True}]
FULL = ("gradient", "gradient vectorized", "value_and_gradient", "jacobian", "jvp", "derivative")
CASES = [(name, options) for name in KINDS for options in OPTIONS if "full_output" not in options or name in FULL]
CREWS = ["executor", "client", "map of the executor", "map of the client"]
# Seconds after which something that should have happened on the cluster has not.
PATIENCE = 60


@pytest.fixture(scope="module")
def cluster():
    """Two processes of one thread each, and nothing on the network that others could see."""
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    """The way to the cluster."""
    with distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def executor(client):
    """The cluster as an executor."""
    return client.get_executor()


@pytest.fixture(scope="module")
def crews(client, executor):
    """All forms in which a cluster may be given."""
    return {"executor": executor, "client": client, "map of the executor": executor.map,
            "map of the client": client.map}


def within(condition):
    """Wait until something is the case."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def losing_a_worker(client):
    """Require that a worker is lost meanwhile, and wait for the one that Dask starts in its place."""
    before = set(client.ncores())
    yield
    within(lambda: len(client.ncores()) == 2 and set(client.ncores()) != before)


def tasks_on(client):
    """How many tasks the cluster remembers; Dask keeps those in which it failed itself until the client is closed."""
    return client.run_on_scheduler(
        lambda dask_scheduler: sum(task.state != "erred" for task in dask_scheduler.tasks.values())
    )


def calls_in(directory):
    """How many evaluations `sent.Traced` has seen."""
    return sum(len((directory / name).read_text().split()) for name in os.listdir(directory))


# The same bits, the same counts


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_a_cluster_finds_the_bits_of_one_process(backend, executor, name, options):
    call, f = KINDS[name]
    expected, found = call(f, X.copy(), **options), call(f, X.copy(), workers=executor, **options)
    assert bits(found) == bits(expected)
    if hasattr(expected, "nfev"):
        assert found.nfev == expected.nfev


@pytest.mark.parametrize("crew", CREWS)
def test_a_cluster_may_be_given_in_any_form(crews, crew):
    for name in ("gradient", "jacobian", "Gradient's value", "gradient_descent"):
        call, f = KINDS[name]
        assert bits(call(f, X.copy(), workers=crews[crew])) == bits(call(f, X.copy())), name


@pytest.mark.parametrize("dtype", "fgFDG")
def test_types_come_back_as_they_went(backend, executor, dtype):
    for call, f in (KINDS["gradient"], KINDS["jacobian"], KINDS["derivative"]):
        assert bits(call(f, X.astype(dtype), workers=executor)) == bits(call(f, X.astype(dtype)))


@pytest.mark.parametrize("name", KINDS)
def test_all_calls_are_made_on_the_cluster(client, executor, tmp_path, name):
    call, f = KINDS[name]
    expected = bits(call(f, X.copy()))
    assert bits(call(sent.Traced(sent.Away(f), tmp_path), X.copy(), workers=executor)) == expected
    assert set(os.listdir(tmp_path)) <= set(map(str, client.run(os.getpid).values()))
    assert calls_in(tmp_path) == (len(points_of(call, f)) if "vectorized" not in name else calls_in(tmp_path))


def test_all_workers_take_part(client, executor, tmp_path):
    sd.gradient(sent.Traced(sent.Delayed(0.01), tmp_path), np.ones(20), workers=executor)
    assert set(os.listdir(tmp_path)) == set(map(str, client.run(os.getpid).values()))


def test_few_messages_carry_equal_shares(client, executor):
    class Counting:
        """An executor that counts what passes."""

        def __init__(self):
            self._client, self.rows = client, []

        def submit(self, function, task):
            self.rows.append(len(task.rows))
            return executor.submit(function, task)

    counting = Counting()
    assert bits(sd.gradient(sent.bowl, np.ones(50), workers=counting)) == bits(sd.gradient(sent.bowl, np.ones(50)))
    assert len(counting.rows) == 8      # four for each worker
    assert sum(counting.rows) == 100 and max(counting.rows) - min(counting.rows) <= 1


def test_no_evaluation_is_taken_for_another(crews, tmp_path):
    f = sent.Traced(sent.bowl, tmp_path)
    for count, crew in enumerate(CREWS, 1):
        sd.gradient(f, X, workers=crews[crew])
        assert calls_in(tmp_path) == 6 * count


def test_a_function_made_on_the_spot_is_sent_by_value(backend, executor):
    weights = np.array([1.0, 2.0, 3.0])
    g = sd.Gradient(lambda x: x @ weights, X, workers=executor)
    assert bits(g(X)) == bits(sd.gradient(lambda x: x @ weights, X))
    assert sd.jacobian(lambda x, k: k * x, X, args=(2.0,), workers=executor) == pytest.approx(2 * np.eye(3))


def test_threads_share_a_prepared_object(backend, executor):
    points = np.random.default_rng(3).normal(size=(4, 3, 4))
    expected = [[sd.gradient(sent.valley, x) for x in rows] for rows in points]
    g = sd.Gradient(sent.valley, points[0, 0], workers=executor)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda rows: [g(x) for x in rows], points))
    assert np.array_equal(found, expected)


def test_a_bar_counts_what_the_cluster_does(executor, capsys):
    for name in ("gradient", "jacobian", "Gradient", "gradient_descent"):
        call, f = KINDS[name]
        assert bits(call(f, X.copy(), workers=executor, progress=True)) == bits(call(f, X.copy()))
        last = capsys.readouterr().err.split("\r")[-1]
        calls = len(points_of(call, f))
        assert last.startswith("steepest: 100%") and f"{calls}/{calls} " in last, name


# What goes wrong


@pytest.mark.parametrize("name", [name for name in KINDS if "vectorized" not in name])
def test_an_exception_is_that_of_one_process_with_the_same_note(backend, executor, name):
    call, f = KINDS[name]
    seen = points_of(call, f)
    for k in {0, 1, len(seen) - 1}:
        expected, found = (failure(call, sent.At(f, [seen[k]], sent.Raise(sent.Planned("at", k))), workers=workers)
                           for workers in (None, executor))
        assert type(found) is sent.Planned
        assert found.args == ("at", k) and found.detail == expected.detail
        assert f"in evaluation {k + 1} of f" in message_of(found)
        assert message_of(found) == message_of(expected)
        assert type(found.__cause__).__name__ == "WorkerTraceback" and "sent.py" in str(found.__cause__)


def test_the_first_exception_by_index_is_raised_whoever_was_sooner(crews):
    seen = points_of(sd.gradient, sent.bowl)
    slow = sent.At(sent.bowl, [seen[1]], sent.Raise(sent.Planned("first"), 0.1))
    both = sent.At(slow, seen[2:], sent.Raise(sent.Planned("later")))
    for crew in CREWS:
        error = failure(sd.gradient, both, workers=crews[crew])
        assert error.args == ("first",)
        assert "evaluation 2 of f, with x[0]" in message_of(error)


def test_an_exception_made_on_the_spot_comes_back(executor):
    class Local(Exception):
        pass

    def f(x):
        raise Local("here", len(x))

    error = failure(sd.gradient, f, workers=executor)
    assert type(error) is Local and error.args == ("here", 3)


def test_f_is_called_under_the_error_state_of_the_caller(executor):
    def divide(x):
        return (x / np.zeros(3)).sum()

    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        sd.gradient(divide, X, workers=executor)
    with np.errstate(all="ignore"), pytest.warns(sd.DifferenceWarning):
        sd.gradient(divide, X, workers=executor)


def test_an_f_that_cannot_be_sent_is_named(crews):
    lock = threading.Lock()
    for crew in CREWS:
        with pytest.raises(TypeError, match=r"f or its args cannot be sent to other processes .*lambda"):
            sd.gradient(lambda x: lock and x @ x, X, workers=crews[crew])


class Trap:
    """Something that can be sent and not be had there."""

    def __reduce__(self):
        return sent.bowl, (0,)


def test_an_f_that_cannot_be_loaded_there_is_told_of(executor):
    with pytest.raises((TypeError, RuntimeError), match=r"not be loaded in a worker|workers failed in evaluation"):
        sd.gradient(sent.bowl, X, args=(Trap(),), workers=executor)
    assert bits(sd.gradient(sent.bowl, X, workers=executor)) == bits(sd.gradient(sent.bowl, X))


def test_nothing_is_left_on_the_cluster_whatever_happened(client, executor):
    seen = points_of(sd.gradient, sent.bowl)
    sd.gradient(sent.bowl, X, workers=executor)
    failure(sd.gradient, sent.At(sent.Delayed(0.05), [seen[0]], sent.Raise(sent.Planned())), workers=executor)
    within(lambda: tasks_on(client) == 0)


# Workers that are lost


def test_a_worker_that_is_killed_is_replaced_and_its_evaluations_are_made_again(client, executor, tmp_path):
    x = np.linspace(-1, 1, 20)
    f = sent.Traced(sent.Delayed(0.02), tmp_path)
    with losing_a_worker(client), concurrent.futures.ThreadPoolExecutor(1) as thread:
        future = thread.submit(sd.gradient, f, x, workers=executor)
        within(lambda: os.listdir(tmp_path))
        os.kill(int(os.listdir(tmp_path)[0]), signal.SIGKILL)
        assert bits(future.result(PATIENCE)) == bits(sd.gradient(sent.bowl, x))
        assert bits(sd.gradient(sent.bowl, X, workers=executor)) == bits(sd.gradient(sent.bowl, X))


def test_an_evaluation_that_kills_its_worker_once_is_made_again(client, executor, tmp_path):
    point = points_of(sd.gradient, sent.bowl)[3]
    with sd.Gradient(sent.At(sent.bowl, [point], sent.Once(tmp_path / "once", sent.killed, sent.bowl)), X,
                     workers=executor) as g, losing_a_worker(client):
        assert bits(g(X)) == bits(sd.gradient(sent.bowl, X))
    assert (tmp_path / "once").exists()


def test_an_evaluation_that_always_kills_its_worker_is_told_of(client, executor):
    point = points_of(sd.gradient, sent.bowl)[3]
    g = sd.Gradient(sent.At(sent.bowl, [point], sent.leave), X, workers=executor)
    with losing_a_worker(client):
        with pytest.raises(RuntimeError, match=r"workers failed in evaluation.* of f: KilledWorker") as caught:
            g(X)
        assert type(caught.value.__cause__).__name__ == "KilledWorker"
        assert bits(g(X + 1)) == bits(sd.gradient(sent.bowl, X + 1))


def test_a_client_that_is_closed_says_so(cluster):
    with distributed.Client(cluster, set_as_default=False) as client:
        g = sd.Gradient(sent.Delayed(0.02), np.ones(20), workers=client)
        assert g(np.ones(20)).shape == (20,)
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            future = thread.submit(g, np.ones(20))
            time.sleep(0.1)
            client.close()
            error = future.exception(PATIENCE)
        assert isinstance(error, RuntimeError) and "the workers were closed, or lost" in str(error)
        with pytest.raises(RuntimeError, match=r"workers failed in evaluation.* of f: .*[Cc]losed"):
            g(np.ones(20))


@pytest.mark.no_cover
def test_ctrl_c_is_answered_and_the_cluster_goes_on(client, executor, tmp_path):
    answered = threading.Event()

    def interrupt():
        within(lambda: os.listdir(tmp_path))
        while not answered.is_set():    # again, for one that comes in a finalizer is dropped there
            os.kill(os.getpid(), signal.SIGINT)
            answered.wait(3.0)

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        done = thread.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            try:
                sd.gradient(sent.Traced(sent.Delayed(0.05), tmp_path), np.ones(400), workers=executor)
            finally:
                answered.set()
        done.result(PATIENCE)
    assert bits(sd.gradient(sent.bowl, X, workers=executor)) == bits(sd.gradient(sent.bowl, X))
    within(lambda: tasks_on(client) == 0)
    assert calls_in(tmp_path) < 800


# Who asks


def test_f_may_use_the_cluster_that_runs_it(executor):
    def with_a_client(x):
        with distributed.worker_client() as client:
            return sd.gradient(sent.bowl, x, workers=client).sum()

    def as_it_comes(x):     # in the place of those that it waits for
        return sd.gradient(sent.bowl, x, workers=distributed.get_client()).sum()

    expected = bits(sd.gradient(lambda x: sd.gradient(sent.bowl, x).sum(), X))
    for f in (with_a_client, as_it_comes):
        assert bits(sd.gradient(f, X, workers=executor)) == expected


def test_a_cluster_is_left_to_its_owner(client, executor):
    with sd.Gradient(sent.bowl, X, workers=client) as g:
        expected = bits(g(X))
    g.close()
    assert bits(g(X)) == expected
    assert client.status == "running"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.parametrize("crew", CREWS)
def test_a_forked_child_is_told_that_the_cluster_is_not_its_own(crews, crew):
    workers = crews[crew]
    sd.gradient(sent.bowl, X, workers=workers)
    child = os.fork()
    if child == 0:
        try:
            sd.gradient(sent.bowl, X, workers=workers)
        except RuntimeError as error:
            os._exit(7 if "from which this process" in str(error) else 8)
        finally:
            os._exit(9)
    ended = 0
    deadline = time.monotonic() + 10
    while not ended and time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended and os.waitstatus_to_exitcode(status) == 7
