# Generic inference on Gen's generative functions, as programs: `prepare(seed)` is untimed, `run(inputs)` is timed.

module Inference

import Gen
import Random

struct Program
    prepare::Any
    run::Any
    notes::Dict{String,Any}
end

# The choice `name` of every trace. By a type that holds the name, so that the compiler knows each look-up: a look-up by a
# name that is known at run time alone takes 9 microseconds a trace.
column(traces, ::Val{name}) where {name} = Float64[trace[name] for trace in traces]

# Gen draws from Julia's global generator, so the inputs of a call are in its state.
function prepare(seed)
    Random.seed!(seed)
    return nothing
end

"""
Importance sampling with the model's internal proposal, the prior.

Outputs: the latents, (n_particles,) each, and `log_weights` (n_particles,): log w_i = log p(observations | latents_i). Gen
returns weights normalised to sum to 1 and the log of their mean before that; both together give them back.

All in float64, whatever is asked for: Gen's `normal` draws and scores Float64.
"""
function importance_sampling(model, arguments, observations, latents, n_particles)
    function run(_)
        traces, log_normalized, log_mean = Gen.importance_sampling(model, arguments, observations, n_particles)
        outputs = Dict{String,Array{Float64}}(String(name) => column(traces, Val(name)) for name in latents)
        outputs["log_weights"] = log_normalized .+ (log_mean + log(n_particles))
        return outputs
    end
    return Program(prepare, run, Dict("dtype" => "float64"))
end

"""
Hamiltonian Monte Carlo with unit mass on the latents, nothing adapted: `Gen.hmc` in a loop, one chain.

A step of `Gen.hmc` takes the gradient at its start anew and then once per leapfrog step, n_leapfrog + 1 in all; it also
updates the trace once per leapfrog step. All in float64. The chain begins at `start`, which joins the observations.

Outputs: of each step after `n_warmup` the latents, and `log_density` log p(latents, observations), (1, n_samples) each.
"""
function hmc(model, arguments, observations, start, step_size, n_leapfrog, n_samples, n_warmup, n_chains)
    n_chains == 1 || error("hmc got n_chains = $n_chains. Gen.jl does not run chains side by side: pass 1.")
    latents = collect(keys(start))
    chosen = Gen.select(latents...)
    for (name, value) in start
        observations[name] = value  # this program's own choice map
    end
    function run(_)
        trace, _ = Gen.generate(model, arguments, observations)
        outputs = Dict{String,Array{Float64}}(String(name) => zeros(1, n_samples) for name in latents)
        outputs["log_density"] = zeros(1, n_samples)
        for step in 1:(n_warmup + n_samples)
            trace, _ = Gen.hmc(trace, chosen; L = n_leapfrog, eps = step_size)
            step > n_warmup || continue
            for name in latents
                outputs[String(name)][1, step - n_warmup] = trace[name]
            end
            outputs["log_density"][1, step - n_warmup] = Gen.get_score(trace)
        end
        return outputs
    end
    gradients = (n_warmup + n_samples) * (n_leapfrog + 1)
    return Program(prepare, run, Dict("dtype" => "float64", "gradient_evaluations" => gradients))
end

end
