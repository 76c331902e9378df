"""The Kalman filter of the room with a linear sensor."""

import numpy as np
from scipy import stats


def kalman(problem):
    """(mean (T, 2), log evidence (T,)) of position; ranges are W - x, H - y, x, y, and the heading is 0."""
    model, observations = problem.truth["model"], problem.data["observations"].astype(float)
    sizes = (model.world.width, model.world.height)
    means, total = np.zeros((len(observations), 2)), np.zeros(len(observations))
    for axis in range(2):
        matrix, offset = np.array([-1.0, 1.0]), np.array([sizes[axis], 0.0])
        mean, variance = model.initial[axis], model.initial_sd[axis] ** 2
        for t, both in enumerate(observations[:, [axis, axis + 2]]):
            if t:
                variance = variance + model.motion_sd[axis] ** 2
            covariance = variance * np.outer(matrix, matrix) + model.noise_sd**2 * np.eye(2)
            expected = matrix * mean + offset
            total[t] += stats.multivariate_normal.logpdf(both, expected, covariance)
            gain = variance * matrix @ np.linalg.inv(covariance)
            mean, variance = mean + gain @ (both - expected), variance * (1 - gain @ matrix)
            means[t, axis] = mean
    return means, np.cumsum(total)
