"""The accuracy that right samplers reach on the drawn target, as measured from several seeds.

Chromatic Gibbs from independent coin flips, softness 0.03, both implementations of this study; the bands are several
times wider than the spread of the seeds, because another order of the classes may approach its end a little faster.
"""

from typing import Any

BANDS: dict[tuple[int, int, int], tuple[float, float]] = {
    # (height, width, sweeps): band      mean and standard deviation over seeds
    (32, 32, 12): (0.790, 0.910),  #     0.8508, 0.0085 of 64
    (512, 512, 150): (0.914, 0.922),  #  0.9178, 0.0004 of 24
    (512, 512, 250): (0.920, 0.928),  #  0.9241, 0.0003 of 8
    (1024, 1024, 500): (0.928, 0.936),  # 0.9317, 0.0002 of 4; the published run reached 0.9331
}


def band(parameters: dict[str, Any]) -> tuple[float, float] | None:
    """Lowest and highest accuracy of a right sampler after its last sweep, or None where that was not measured."""
    if parameters["target"] != "wizards" or parameters["softness"] != 0.03 or parameters["softness_prior"] is not None:
        return None
    height = parameters["height"]
    return BANDS.get((height, parameters["width"] or height, parameters["n_sweeps"]))
