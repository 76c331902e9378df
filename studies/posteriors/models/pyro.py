"""The smallest posterior in Pyro: its NUTS builds each tree step by step in Python."""

import pyro
import pyro.distributions as dist

from studies.posteriors import programs


def nuts(framework, data, parameters):
    """Program of the No-U-Turn Sampler on one posterior."""
    return programs.nuts(framework, MODELS, data, parameters)


def eight_schools_noncentred(data):
    """Effects around a common mean, as multiples of tau."""

    def schools(errors, effects):
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = pyro.sample("tau", dist.HalfCauchy(5.0))
        with pyro.plate("schools", 8):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("effects", dist.Normal(mu + tau * z, errors), obs=effects)

    return schools, (data["errors"], data["effects"])


MODELS = {"eight_schools_noncentred": eight_schools_noncentred}
