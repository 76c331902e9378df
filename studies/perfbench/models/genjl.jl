# The curve model in Gen.jl: a, b, c ~ N(0, 1); y_i ~ N(a + b x_i + c x_i^2, noise_sd). Both of Gen's languages.

using Gen

@gen function dynamic_curve(xs::Vector{Float64}, noise_sd::Float64)
    a ~ normal(0.0, 1.0)
    b ~ normal(0.0, 1.0)
    c ~ normal(0.0, 1.0)
    for (i, x) in enumerate(xs)
        {(:y, i)} ~ normal(a + b * x + c * x * x, noise_sd)
    end
end

@gen (static) function point(x::Float64, (grad)(a::Float64), (grad)(b::Float64), (grad)(c::Float64), noise_sd::Float64)
    y ~ normal(a + b * x + c * x * x, noise_sd)
    return y
end

const points = Map(point)

@gen (static) function static_curve(xs::Vector{Float64}, noise_sds::Vector{Float64})
    a ~ normal(0.0, 1.0)
    b ~ normal(0.0, 1.0)
    c ~ normal(0.0, 1.0)
    n = length(xs)
    ys ~ points(xs, fill(a, n), fill(b, n), fill(c, n), noise_sds)
    return n  # not `ys`: Gen's gradients of a static function ask for one of the value returned, if that depends on a, b, c
end

@load_generated_functions()

# Static functions turn other choice maps into static ones: for each point of each particle, were it not done before.
as_static(choices) = applicable(Gen.StaticChoiceMap, choices) ? Gen.StaticChoiceMap(choices) : choices

function curve(framework, data)
    xs, ys, noise_sd = Float64.(data["xs"]), Float64.(data["ys"]), Float64(data["noise_sd"])
    if framework == "genjl"
        return dynamic_curve, (xs, noise_sd), choicemap([((:y, i), y) for (i, y) in enumerate(ys)]...)
    end
    observations = choicemap()
    for (i, y) in enumerate(ys)
        set_submap!(observations, :ys => i, as_static(choicemap((:y, y))))
    end
    return static_curve, (xs, fill(noise_sd, length(xs))), observations
end

function importance_sampling(inference, framework, data, parameters)
    model, arguments, observations = curve(framework, data)
    given = framework == "genjl" ? observations : as_static(observations)
    return inference.importance_sampling(model, arguments, given, (:a, :b, :c), parameters["n_particles"])
end

importance_sweep(inference, framework, data, parameters) = importance_sampling(inference, framework, data, parameters)

function hmc(inference, framework, data, parameters)
    model, arguments, observations = curve(framework, data)
    start = Dict(zip((:a, :b, :c), Float64.(data["start"])))
    return inference.hmc(model, arguments, observations, start, parameters["step_size"], parameters["n_leapfrog"],
                         parameters["n_samples"], parameters["n_warmup"], parameters["n_chains"])
end
