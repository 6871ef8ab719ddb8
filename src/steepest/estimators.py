"""Networks as scikit-learn's estimators: `Classifier` and `Regressor`.

Here for pipelines, searches and cross-validation; thin, the network is `network_`. Needs scikit-learn, which only this
file imports. Tested in tests/test_estimators.py with scikit-learn's own check_estimator.
"""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .feed_forward import Network

__all__ = ["Classifier", "Regressor"]


class _Estimator(BaseEstimator):
    """What both have in common."""

    def __init__(self, hidden=(32,), activation="relu", optimizer="adam", lr=None, batch_size=32, epochs=100, l2=0.0,
                 l1=0.0, method=None, early_stopping=None, validation_fraction=0.1, random_state=None):
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.lr = lr
        self.batch_size = batch_size
        self.epochs = epochs
        self.l2 = l2
        self.l1 = l1
        self.method = method
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _more(self, X, y, reset):
        """X and y as numbers of float32 or float64."""
        return validate_data(self, X, y, reset=reset, dtype=[np.float64, np.float32], y_numeric=False,
                             multi_output=isinstance(self, RegressorMixin))

    def _seed(self):
        given = self.random_state
        if given is None or isinstance(given, (int, np.integer)):
            return None if given is None else int(given)
        return int(given.randint(2**31 - 1))

    def _train(self, X, y, outputs, loss, weight):
        """A new network, trained."""
        seed = self._seed()
        self.network_ = Network((X.shape[1], *self.hidden, outputs), self.activation, loss=loss, l2=self.l2, l1=self.l1,
                                dtype=X.dtype, seed=seed)
        held = None
        if self.early_stopping:
            from sklearn.model_selection import train_test_split

            parts = train_test_split(*([X, y] if weight is None else [X, y, weight]),
                                     test_size=self.validation_fraction, random_state=seed)
            X, held_X, y, held_y, *rest = parts
            held, weight = (held_X, held_y), rest[0] if rest else None
        options = {"method": self.method} if self.method else {
            "optimizer": self.optimizer, "lr": self.lr, "batch_size": min(self.batch_size, len(X))}
        self.history_ = self.network_.fit(X, y, epochs=self.epochs, sample_weight=weight, validation_data=held,
                                          early_stopping=self.early_stopping or None, **options)
        self.n_iter_ = self.history_.epochs
        self.loss_curve_ = self.history_.loss
        return self

    @staticmethod
    def _weight(sample_weight, X):
        if sample_weight is None:
            return None
        return _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)

    def _inputs(self, X):
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=[np.float64, np.float32])


class Classifier(ClassifierMixin, _Estimator):
    """A network that classifies, for scikit-learn: softmax cross-entropy over any labels.

    Parameters
    ----------
    hidden : sequence of int, optional
        Units of the hidden layers.
    activation, optimizer, lr, batch_size, epochs, l2, l1, method
        As for `Network` and `Network.fit`.
    early_stopping : int or True, optional
        Patience, on a share of the samples that is held back.
    validation_fraction : float, optional
        That share.
    random_state : int or RandomState, optional
        Of weights, order and split.

    Attributes
    ----------
    network_ : Network
    history_ : History
    classes_ : ndarray
    n_iter_ : int
        Epochs.
    loss_curve_ : ndarray

    Examples
    --------
    >>> import steepest as sd
    >>> X, y = sd.network.moons(200, seed=0)
    >>> sd.network.Classifier(hidden=(16,), epochs=60, lr=0.02, random_state=0).fit(X, y).score(X, y) > 0.97
    True
    """

    def fit(self, X, y, sample_weight=None):
        """Train on samples and their labels."""
        X, y = self._more(X, y, True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        weight = self._weight(sample_weight, X)
        present = np.unique(labels if weight is None else labels[weight > 0])
        if len(present) < 2:
            raise ValueError(f"Classifier can't train when only one class is present: {self.classes_[present]!r}")
        return self._train(X, labels.reshape(-1), len(self.classes_), "softmax_cross_entropy", weight)

    def predict(self, X):
        """The likeliest label of every row."""
        X = self._inputs(X)
        return self.classes_[self.network_.predict(X)]

    def predict_proba(self, X):
        """The probability of every class, (rows, classes)."""
        X = self._inputs(X)
        return self.network_.predict_proba(X)


class Regressor(RegressorMixin, _Estimator):
    """A network that fits numbers, for scikit-learn: half of the mean squared error.

    Parameters
    ----------
    hidden, activation, optimizer, lr, batch_size, epochs, l2, l1, method
        As for `Classifier`.
    early_stopping, validation_fraction, random_state
        As for `Classifier`.

    Attributes
    ----------
    network_, history_, n_iter_, loss_curve_
        As for `Classifier`.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> X = np.linspace(-2, 2, 80)[:, None]
    >>> found = sd.network.Regressor(hidden=(16,), activation="tanh", method="lbfgs", random_state=0)
    >>> found.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.99
    True
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X, y, sample_weight=None):
        """Train on samples and their targets, (rows,) or (rows, outputs)."""
        X, y = self._more(X, y, True)
        outputs = 1 if y.ndim == 1 else y.shape[1]
        self._flat = y.ndim == 1
        return self._train(X, np.asarray(y, X.dtype), outputs, "half_mse", self._weight(sample_weight, X))

    def predict(self, X):
        """Outputs for every row."""
        X = self._inputs(X)
        found = self.network_.predict(X)
        return found if found.ndim == 1 or not self._flat else found.reshape(-1)
