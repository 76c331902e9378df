# The curve model in Gen.jl: a, b, c ~ N(0, 1); y_i ~ N(a + b x_i + c x_i^2, noise_sd). Both of Gen's languages.

using Gen

# The heights of the curve as a generative function without choices whose gradient is written out: Gen's documented way
# to keep a deterministic part of a model off the tape of its automatic differentiation.
struct Heights <: Gen.CustomGradientGF{Vector{Float64}} end

const heights = Heights()

function Gen.apply(::Heights, arguments)
    xs, a, b, c = arguments
    return a .+ xs .* (b .+ xs .* c)
end

function Gen.gradient(::Heights, arguments, value, slopes)
    xs = arguments[1]
    to_a, to_b, to_c = 0.0, 0.0, 0.0
    for (x, slope) in zip(xs, slopes)
        to_a += slope
        to_b += slope * x
        to_c += slope * x * x
    end
    return nothing, to_a, to_b, to_c
end

Gen.has_argument_grads(::Heights) = (false, true, true, true)

@gen function dynamic_curve(xs::Vector{Float64}, noise_sd::Float64)
    a ~ normal(0.0, 1.0)
    b ~ normal(0.0, 1.0)
    c ~ normal(0.0, 1.0)
    means ~ heights(xs, a, b, c)
    ys ~ broadcasted_normal(means, noise_sd)
    return nothing
end

@gen (static) function static_curve(xs::Vector{Float64}, noise_sd::Float64)
    a ~ normal(0.0, 1.0)
    b ~ normal(0.0, 1.0)
    c ~ normal(0.0, 1.0)
    means ~ heights(xs, a, b, c)
    ys ~ broadcasted_normal(means, noise_sd)
    n = length(xs)
    return n  # not `ys`: Gen's gradients of a static function ask for one of the value returned, if that depends on a, b, c
end

# The same with an address for each point, as tutorials write it for models whose points differ.

@gen function dynamic_points(xs::Vector{Float64}, noise_sd::Float64)
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

@gen (static) function static_points(xs::Vector{Float64}, noise_sds::Vector{Float64})
    a ~ normal(0.0, 1.0)
    b ~ normal(0.0, 1.0)
    c ~ normal(0.0, 1.0)
    n = length(xs)
    ys ~ points(xs, fill(a, n), fill(b, n), fill(c, n), noise_sds)
    return n
end

# The model in the language of a framework, its arguments and the observations, which the program may add to.
function broadcasted(framework, data)
    xs, ys, noise_sd = Float64.(data["xs"]), Float64.(data["ys"]), Float64(data["noise_sd"])
    return framework == "genjl" ? dynamic_curve : static_curve, (xs, noise_sd), choicemap((:ys, ys))
end

function by_point(framework, data)
    xs, ys, noise_sd = Float64.(data["xs"]), Float64.(data["ys"]), Float64(data["noise_sd"])
    if framework == "genjl"
        return dynamic_points, (xs, noise_sd), choicemap([((:y, i), y) for (i, y) in enumerate(ys)]...)
    end
    observations = choicemap()
    for (i, y) in enumerate(ys)
        # A static function turns other choice maps into static ones: for each point of each particle, were it not done.
        set_submap!(observations, :ys => i, Gen.StaticChoiceMap(choicemap((:y, y))))
    end
    return static_points, (xs, fill(noise_sd, length(xs))), observations
end

# form("broadcast", "one `broadcasted_normal` over all points",
#      source="broadcasted_normal and custom deterministic generative functions in Gen's reference")
function importance_sampling(inference, framework, data, parameters)
    return particles(inference, framework, broadcasted(framework, data), parameters)
end

# form("points", "an address and a normal for each point", source="Gen's introductory tutorials")
function importance_sampling__points(inference, framework, data, parameters)
    return particles(inference, framework, by_point(framework, data), parameters)
end

# form("broadcast", "one `broadcasted_normal`; the heights are a `CustomGradientGF`, whose gradient is written out",
#      source="custom deterministic generative functions in Gen's reference", mark="gradient written out")
function hmc(inference, framework, data, parameters)
    return chain(inference, broadcasted(framework, data), data, parameters)
end

# form("points", "an address and a normal for each point, gradients by Gen", source="Gen's introductory tutorials")
function hmc__points(inference, framework, data, parameters)
    return chain(inference, by_point(framework, data), data, parameters)
end

function particles(inference, framework, problem, parameters)
    model, arguments, observations = problem
    given = framework == "genjl" ? observations : Gen.StaticChoiceMap(observations)
    return inference.importance_sampling(model, arguments, given, (:a, :b, :c), parameters["n_particles"])
end

function chain(inference, problem, data, parameters)
    model, arguments, observations = problem
    start = Dict(zip((:a, :b, :c), Float64.(data["start"])))
    return inference.hmc(model, arguments, observations, start, parameters["step_size"], parameters["n_leapfrog"],
                         parameters["n_samples"], parameters["n_warmup"], parameters["n_chains"])
end
