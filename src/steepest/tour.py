"""The tour: what ``python -m steepest demo`` shows, chapter by chapter.

Here so that a newcomer sees what there is, on functions that one can see through and on real data, and every kernel
beside its reference. Tested in tests/test_main.py.
"""

from .tour_data import diagnosis, digits, peers
from .tour_functions import down, field, proof, slopes, textbook, two_wells
from .tour_stage import MissingPackageError, Stage, samples_of

__all__ = ["CHAPTERS", "MissingPackageError", "tour"]

CHAPTERS = (
    ("The slope of a curve: tables, and the rule behind them", slopes),
    ("The gradient of a function: f(x) = x0² + x1²", textbook),
    ("Proof: is this gradient right?", proof),
    ("Down it: steps against the gradient", down),
    ("Out of a false minimum: (x² - 1)² + 0.3 x, deep at -1.04, shallow at 0.96", two_wells),
    ("A sampled field", field),
    ("A network that reads digits", digits),
    ("Down a real loss: diagnosing 569 patients from 30 measurements", diagnosis),
    ("Kernel against reference and peers", peers),
)
ON_DATA = (digits, diagnosis, peers)


def tour(write=print, chapter=None, plots=None):
    """Show the tour, or one chapter of it.

    Parameters
    ----------
    write : callable
        Takes a line of text.
    chapter : int, optional
        Which, from 1; all by default.
    plots : str or path-like, optional
        A folder, made where there is none, that pictures are written into.

    Returns
    -------
    bool
        Whether every kernel agreed with its reference to the last bit.

    Raises
    ------
    MissingPackageError
        When scikit-learn, whose data are shown, is not installed; when pictures are wanted and matplotlib is not.
    """
    stage, agreed = Stage(write, plots), True
    if any(chapter in (None, number) and show in ON_DATA for number, (_, show) in enumerate(CHAPTERS, 1)):
        samples_of("iris")      # what is missing is told before anything is shown
    for number, (title, show) in enumerate(CHAPTERS, 1):
        if chapter in (None, number):
            stage.heading(f"{number}. {title}")
            agreed &= bool(show(stage))
    write("")
    write("Kernel and reference agreed to the last bit throughout." if agreed
          else "A kernel and its reference DISAGREE: please report this, with the output of 'python -m steepest info'.")
    return agreed
