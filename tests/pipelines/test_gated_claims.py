"""A claim is marked as gated if, and because, the gate of its rows demands its number: no right row could refute it."""

import numpy as np
import pytest

from pipelines.config.configuration import configure
from pipelines.output.claims import read_claims
from pipelines.plan.cells import races
from pipelines.plan.tree import Tree
from studies.curvefit import gate_form, gate_importance
from studies.faircoin import problem as coin

TREE = Tree()
CLAIMS = {claim.name: claim for claim in read_claims(TREE) if claim.gated}


def cell_of(claim):
    """The first cell of the claim at size paper."""
    (configuration,) = configure(["size=paper"], TREE, study=claim.study)
    wanted = {name: value for name, value in claim.rows.items() if name != "framework"}
    cells = [cell for race in races(configuration) for cell in race.cells if cell.task == claim.task]
    return next(cell for cell in cells if all(cell.parameters[name] == value for name, value in wanted.items()))


def coin_posterior(cell):
    """The posterior mean within some exact standard errors of all particles of the calls that are judged together."""
    truth = TREE.problem_module(cell.study).make_problem(dict(cell.parameters)).truth
    error, _ = coin.posterior_standard_errors(truth, cell.gate_calls * cell.parameters["n_particles"])
    reach = coin.STANDARD_ERRORS * error
    return truth["posterior_mean"] - reach, truth["posterior_mean"] + reach


def evidence(cell):
    """The mean of the evidence within some exact standard errors.

    The mean of its logarithm is less by half its relative variance; twice that is allowed for here.
    """
    truth = TREE.problem_module(cell.study).make_problem(dict(cell.parameters)).truth
    variance = truth["relative_variance"] / cell.parameters["n_particles"]
    n_replicates = min(cell.parameters["n_trials"], cell.parameters["n_large_trials"])
    reach, exact = gate_form.STANDARD_ERRORS * np.sqrt(variance / n_replicates), truth["posterior"].log_evidence
    return exact + np.log1p(-reach) - variance, exact + np.log1p(reach)


def gibbs_finds_outliers(cell):
    """The largest error of a point's probability."""
    return 0.0, gate_importance.PROBABILITY_LIMIT


DEMANDS = {rule.__name__: rule for rule in (coin_posterior, evidence, gibbs_finds_outliers)}


def test_every_gated_claim_is_shown_here():
    assert CLAIMS.keys() == DEMANDS.keys()


@pytest.mark.parametrize("name", DEMANDS)
def test_the_gate_demands_what_a_gated_claim_accepts(name):
    claim = CLAIMS[name]
    low, high = DEMANDS[name](cell_of(claim))
    assert claim.accept.get("at_least", -np.inf) <= low < high <= claim.accept.get("at_most", np.inf)
