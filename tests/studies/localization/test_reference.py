"""The exact filter: against Kalman's, and convergent in the spacing of its grid."""

import numpy as np
import pytest

from studies.localization.problem import make_problem
from studies.localization.reference import exact_filter
from tests.studies.localization.kalman import kalman


def test_exact_filter_is_kalmans_where_the_sensor_is_linear(linear):
    parameters = linear("bootstrap", 10)
    still = {"heading_sd": 1e-4}
    parameters |= {name: {**parameters[name], **still} for name in ("initial", "motion")}
    problem = make_problem({**parameters, "reference": {"coarse": [0.1, 1e-4], "fine": [0.03, 3e-5]}})
    mean, evidence = kalman(problem)
    reference = problem.truth["reference"]()
    np.testing.assert_allclose(reference.mean[:, :2], mean, atol=1e-4)
    np.testing.assert_allclose(reference.log_marginal, evidence, atol=1e-3)


@pytest.mark.parametrize("data_set", ["published", "model"])
def test_exact_filter_converges(parameters, data_set):
    problem = make_problem(parameters(n_steps=1, data_set=data_set))
    model, observations = problem.truth["model"], problem.data["observations"]
    fine, finer = (exact_filter(model, observations, (0.2, 0.1), (h, h / 2)) for h in (0.06, 0.03))
    assert np.abs(fine.mean - finer.mean).max() < 0.02
    assert np.abs(fine.log_marginal - finer.log_marginal).max() < 0.2
    assert (finer.sd > 0).all()
