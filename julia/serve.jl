# The requests of `pipelines/workers/protocol.py`, served with Gen. Included by worker.jl, once the environment is there.

const LOADING = time_ns()
import Gen
const IMPORT_SECONDS = (time_ns() - LOADING) * 1e-9

import JSON

include("npy.jl")
include("inference.jl")

const FRAMEWORK = ARGS[findfirst(isequal("--framework"), ARGS) + 1]

struct Skipped <: Exception
    reason::String
end

# One program with its current inputs and last outputs. `prepare(seed)` gives inputs, `run(inputs)` outputs.
mutable struct Prepared
    program::Any
    inputs::Any
    outputs::Any
    calls::Int  # that are prepared and not yet made
    reading_seconds::Float64
end

const PROGRAMS = Dict{String,Prepared}()
const MODELS = Dict{String,Module}()

# Restarts the count of the peak of resident memory, where Linux allows it.
function reset_peak_memory()
    try
        write("/proc/self/clear_refs", "5")
    catch problem
        problem isa SystemError || rethrow()  # elsewhere the peak is that of the process so far
    end
end

# Peak resident memory since the last reset. Not `Sys.maxrss()` where Linux says it better: that counts the pipeline's own
# memory, of which this process was a copy for a moment.
function peak_memory_bytes()
    isfile("/proc/self/status") || return Int(Sys.maxrss())
    found = match(r"VmHWM:\s*(\d+) kB", read("/proc/self/status", String))
    return found === nothing ? Int(Sys.maxrss()) : parse(Int, found.captures[1]) * 1024
end

memory() = Dict{String,Any}("peak_host_bytes" => peak_memory_bytes(), "peak_device_bytes" => nothing)

# Gen's traces take a kilobyte or two each, and an idle process does not collect: a million of them would stay in the memory of
# each process of a race until its next turn.
drop_large_garbage() = Base.gc_live_bytes() > 2^28 && GC.gc()

function hello(request)
    request["device"] == "cpu" || throw(Skipped("Gen.jl runs on the CPU only"))
    versions = Dict("julia" => string(VERSION), "Gen" => string(pkgversion(Gen)))
    # Gen draws from Julia's global generator: only the first call after `prepare` can be repeated.
    return Dict("protocol" => 2, "repeatable" => false, "framework" => FRAMEWORK, "pid" => getpid(), "import_s" => IMPORT_SECONDS,
                "unavailable" => nothing, "versions" => versions, "device_name" => "")
end

# A model file is a module of its own: a function per task, `task(framework, data, parameters) -> program`.
function model(path)
    get!(MODELS, path) do
        # By the syntax, since what is made so has `eval`, which the code behind a macro may call; `Module()` has not.
        made = Core.eval(Main, Expr(:module, true, Symbol("Model", length(MODELS) + 1), Expr(:block)))
        Base.include(made, path)
        made
    end
end

own_names(made) = names(made; all = true)

function prepare(request)
    haskey(request, "model") ||
        return Dict{String,Any}("seconds" => renew(PROGRAMS[request["handle"]], request["seed"], get(request, "calls", 1)))
    reset_peak_memory()
    data = Dict(name => read_npy(path) for (name, path) in request["data"])
    made, task = model(request["model"]), Symbol(request["task"])
    # The model was defined after this function began to run, so all of it is asked for in the latest world. Only its own
    # names count: Gen has an `hmc` too, which `using Gen` brings in.
    task in Base.invokelatest(own_names, made) || throw(Skipped("no model of $(request["study"])/$(request["task"]) for $FRAMEWORK"))
    program = Base.invokelatest(Base.invokelatest(getfield, made, task), Inference, FRAMEWORK, data, request["parameters"])
    known = PROGRAMS[request["handle"]] = Prepared(program, nothing, nothing, 0, 0.0)
    seconds = renew(known, request["seed"], 1)
    return Dict("phases" => Dict(), "cost" => Dict(), "notes" => program.notes, "seconds" => seconds)
end

# Inputs for so many calls; seconds that they took. Each call draws on from where the last one left the generator.
function renew(known, seed, calls)
    known.outputs = nothing
    known.calls = calls
    return @elapsed known.inputs = Base.invokelatest(known.program.prepare, seed)
end

# Inputs serve one call, so that no call sees what another has seen.
function use_up(known, calls)
    known.calls == calls || error("$calls calls were asked for and $(known.calls) are prepared: ask for `prepare` first.")
    known.calls = 0
end

# What `pipelines/workers/digest.py` says of each output.
digests(outputs) = Dict(name => digest(value) for (name, value) in outputs)

function digest(array)
    stride = max(cld(length(array), 2^16), 1)
    values = vec(array)[1:stride:end]
    weights = [mod(position * 0.6180339887498949, 1.0) for position in 1:length(values)]
    clean = [isfinite(value) ? Float64(value) : 0.0 for value in values]
    return Dict("shape" => collect(size(array)), "dtype" => "float64", "values" => length(values),
                "nan" => count(isnan, values), "infinite" => count(isinf, values),
                "checksum" => sum(weights .* clean), "magnitude" => sum(weights .* abs.(clean)))
end

function gate(request)
    known = PROGRAMS[request["handle"]]
    if haskey(request, "call")
        request["call"] == 0 || error("Gen.jl can repeat the first call of a block only, not call $(request["call"]).")
        renew(known, request["seed"], 1)
    end
    use_up(known, 1)
    # Compiles whatever this program needs, so the clock of the timed blocks never sees it.
    seconds = @elapsed known.outputs = Base.invokelatest(known.program.run, known.inputs)
    known.reading_seconds = @elapsed found = digests(known.outputs)
    reply = merge(Dict{String,Any}("first_call_s" => seconds, "outputs" => found), memory())
    drop_large_garbage()
    return reply
end

function outputs(request)
    known, written = PROGRAMS[request["handle"]], Dict{String,String}()
    for (index, (name, value)) in enumerate(known.outputs)
        written[name] = joinpath(request["folder"], "output_$index.npy")
        write_npy(written[name], value)
    end
    known.outputs = nothing
    return Dict("arrays" => written)
end

# Seconds of so many calls, the outputs of call `keep` and those of the last.
function repeated(run, inputs, calls, keep)
    kept = last = nothing
    start = time_ns()
    for call in 1:calls
        last = run(inputs)
        if call == keep
            kept = last
        end
    end
    return (time_ns() - start) * 1e-9, kept, last
end

function timed(request)
    known, calls = PROGRAMS[request["handle"]], request["calls"]
    known.outputs = nothing
    use_up(known, calls)
    GC.gc()  # a collection owed by preparation must not fall into the block
    seconds, known.outputs, last = Base.invokelatest(repeated, known.program.run, known.inputs, calls, request["keep"] + 1)
    late = @elapsed of_last = digests(last)
    seen = Dict("kept" => digests(known.outputs), "last" => of_last, "late_s" => max(late - known.reading_seconds, 0.0))
    reply = merge(Dict{String,Any}("seconds" => seconds), seen, memory())
    drop_large_garbage()
    return reply
end

function forget(request)
    delete!(PROGRAMS, request["handle"])
    GC.gc()
    return Dict{String,Any}()
end

const OPERATIONS = Dict("hello" => hello, "prepare" => prepare, "gate" => gate, "outputs" => outputs, "time" => timed,
                        "forget" => forget)

function answer(request)
    request["op"] == "quit" && return Dict{String,Any}("ok" => true)
    try
        return merge(Dict{String,Any}("ok" => true), OPERATIONS[request["op"]](request))
    catch problem
        problem isa Skipped &&
            return Dict{String,Any}("ok" => false, "status" => "skipped", "reason" => problem.reason, "traceback" => nothing)
        trace = sprint(showerror, problem, catch_backtrace())
        status = problem isa OutOfMemoryError ? "oom" : "failed"
        reason = first(replace(sprint(showerror, problem), r"\s+" => " "), 300)
        return Dict{String,Any}("ok" => false, "status" => status, "reason" => reason, "traceback" => first(trace, 8000))
    end
end

# Answers the request that is already read, and all others until `quit` or the end of the stream.
function serve(line)
    while !isempty(line)
        request = JSON.parse(line)
        reply = answer(request)
        reply["id"] = request["id"]
        println(REPLIES, JSON.json(reply))
        flush(REPLIES)
        request["op"] == "quit" && return
        line = readline(stdin)
    end
end
