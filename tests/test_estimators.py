"""The estimators are scikit-learn's in every respect that scikit-learn can check, and learn.

Here because pipelines and searches rely on many small promises. Tests estimators.py.
"""

import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.datasets import load_iris, make_regression  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from steepest.network import Classifier, Regressor  # noqa: E402


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([Classifier(hidden=(8,), epochs=40, lr=0.02, random_state=0),
                          Regressor(hidden=(8,), epochs=40, lr=0.02, random_state=0)])
def test_scikit_learn_finds_nothing_to_object_to(estimator, check):
    check(estimator)


def test_a_classifier_in_a_pipeline_and_a_search():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    pipeline = make_pipeline(StandardScaler(), Classifier(hidden=(8,), epochs=40, random_state=0))
    search = GridSearchCV(pipeline, {"classifier__lr": [1e-5, 0.02]}, cv=3).fit(X, names)
    assert search.best_params_ == {"classifier__lr": 0.02}
    assert search.best_score_ > 0.9
    found = search.best_estimator_
    assert set(found.predict(X)) == set(names)
    np.testing.assert_allclose(found.predict_proba(X).sum(axis=1), 1)
    assert found[-1].n_iter_ == len(found[-1].loss_curve_) == 40


def test_weights_early_stopping_and_methods():
    X, y = make_regression(200, 5, noise=1.0, random_state=0)
    y = y / y.std()
    found = Regressor(hidden=(16,), method="lbfgs", epochs=300, random_state=0).fit(X, y)
    assert found.score(X, y) > 0.99
    stopped = Regressor(hidden=(16,), early_stopping=3, epochs=500, lr=0.02, random_state=0).fit(X, y, np.ones(200))
    assert stopped.history_.status == "stopped early"
    both = Regressor(hidden=(16,), epochs=20, random_state=0).fit(X, np.stack([y, -y], axis=1))
    assert both.predict(X).shape == (200, 2)
    single = Regressor(hidden=(4,), epochs=2, random_state=np.random.RandomState(3)).fit(X.astype(np.float32), y)
    assert single.network_.dtype == np.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        single.predict(X.astype(np.float32))


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="only one class"):
        Classifier().fit(np.zeros((3, 2)), ["a", "a", "a"])
