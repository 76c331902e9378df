"""Paths and observations: the published data, the same with the noise that the model expects, and data of the model.

The published artifact drew its noise with `jax.random`, and its distances in float32 decide which way a ray goes that
grazes the end of a wall; both are reproduced here without a framework.
"""

from typing import NamedTuple

import numpy as np

from studies import threefry
from studies.localization.density import Model
from studies.localization.world import scan

DATA_SETS = ("published", "matched_noise", "model")


class Track(NamedTuple):
    """Where the robot was and what it measured.

    Args:
        poses: (n_steps + 1, 3) float64.
        distances: (n_steps + 1, n_rays) float32, without noise.
        observations: (n_steps + 1, n_rays) float32.
    """

    poses: np.ndarray
    distances: np.ndarray
    observations: np.ndarray


def make_track(
    data_set: str, model: Model, path: np.ndarray, n_rays: int, published_noise_sd: float, seed: int
) -> Track:
    """The data of a name.

    Args:
        data_set: "published": the path, with noise of `published_noise_sd`, half of what the model expects;
            "matched_noise": the same draws with the model's noise; "model": path and noise drawn from the model, as
            many steps as the path has.
        model: the model.
        path: (n, 3) poses of the robot.
        n_rays: number of rays.
        published_noise_sd: standard deviation in metres.
        seed: of the draws; 42 gives the published ones.
    """
    if data_set not in DATA_SETS:
        raise ValueError(f"localization got data_set={data_set!r}. Allowed: {', '.join(DATA_SETS)}.")
    path_key, noise_key = threefry.split(threefry.key(seed))
    noise_sd = published_noise_sd if data_set == "published" else model.noise_sd
    poses = _drawn_path(model, len(path), path_key) if data_set == "model" else path
    inside = model.clipped(poses) if data_set == "model" else poses
    distances = scan(model.world, inside[:, 0], inside[:, 1], inside[:, 2], n_rays, np.float32)
    observations = distances + np.float32(noise_sd) * _noise(noise_key, *distances.shape)
    # The model's ranges may be negative; the published data's sensor cuts them at 0.
    cut = observations if data_set == "model" else np.maximum(observations, np.float32(0))
    return Track(poses, distances, cut)


def _noise(key: np.ndarray, n_poses: int, n_rays: int) -> np.ndarray:
    """One draw for every key of pose and ray, as published."""
    keys = [threefry.split(pose, n_rays) for pose in threefry.split(threefry.split(key)[0], n_poses)]
    return np.array([[threefry.normal(key) for key in of_pose] for of_pose in keys], np.float32)


def _drawn_path(model: Model, n_poses: int, key: np.ndarray) -> np.ndarray:
    steps = threefry.normal(key, (n_poses, 3)).astype(np.float64)
    poses = [model.initial + model.initial_sd * steps[0]]
    for step in steps[1:]:
        poses.append(model.clipped(poses[-1]) + model.motion_sd * step)
    return np.array(poses)
