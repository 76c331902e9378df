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
    return ys
end

@load_generated_functions()

function curve(framework, data)
    xs, noise_sd = Float64.(data["xs"]), Float64(data["noise_sd"])
    is_static = framework == "genjl_static"
    arguments = is_static ? (xs, fill(noise_sd, length(xs))) : (xs, noise_sd)
    address(i) = is_static ? :ys => i => :y : (:y, i)
    observations = choicemap([(address(i), Float64(y)) for (i, y) in enumerate(data["ys"])]...)
    return is_static ? static_curve : dynamic_curve, arguments, observations
end

function importance_sampling(inference, framework, data, parameters)
    model, arguments, observations = curve(framework, data)
    return inference.importance_sampling(model, arguments, observations, (:a, :b, :c), parameters["n_particles"])
end

importance_sweep(inference, framework, data, parameters) = importance_sampling(inference, framework, data, parameters)

function hmc(inference, framework, data, parameters)
    model, arguments, observations = curve(framework, data)
    start = Dict(zip((:a, :b, :c), Float64.(data["start"])))
    return inference.hmc(model, arguments, observations, start, parameters["step_size"], parameters["n_leapfrog"],
                         parameters["n_samples"], parameters["n_warmup"], parameters["n_chains"])
end
