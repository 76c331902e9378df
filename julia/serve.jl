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
    return Dict("protocol" => 1, "framework" => FRAMEWORK, "pid" => getpid(), "import_s" => IMPORT_SECONDS,
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
    if !haskey(request, "model")
        known = PROGRAMS[request["handle"]]
        known.outputs = nothing
        known.inputs = Base.invokelatest(known.program.prepare, request["seed"])
        return Dict{String,Any}()
    end
    reset_peak_memory()
    data = Dict(name => read_npy(path) for (name, path) in request["data"])
    made, task = model(request["model"]), Symbol(request["task"])
    # The model was defined after this function began to run, so all of it is asked for in the latest world. Only its own
    # names count: Gen has an `hmc` too, which `using Gen` brings in.
    task in Base.invokelatest(own_names, made) || throw(Skipped("no model of $(request["study"])/$(request["task"]) for $FRAMEWORK"))
    program = Base.invokelatest(Base.invokelatest(getfield, made, task), Inference, FRAMEWORK, data, request["parameters"])
    inputs = Base.invokelatest(program.prepare, request["seed"])
    PROGRAMS[request["handle"]] = Prepared(program, inputs, nothing)
    return Dict("phases" => Dict(), "cost" => Dict(), "notes" => program.notes)
end

function gate(request)
    known = PROGRAMS[request["handle"]]
    # Compiles whatever this program needs, so the clock of the timed blocks never sees it.
    seconds = @elapsed known.outputs = Base.invokelatest(known.program.run, known.inputs)
    shapes = Dict(name => Dict("shape" => collect(size(value)), "dtype" => "float64") for (name, value) in known.outputs)
    reply = merge(Dict{String,Any}("first_call_s" => seconds, "outputs" => shapes), memory())
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

function repeated(run, inputs, calls)
    start = time_ns()
    for _ in 1:calls
        run(inputs)
    end
    return (time_ns() - start) * 1e-9
end

function timed(request)
    known = PROGRAMS[request["handle"]]
    GC.gc()  # a collection owed by preparation must not fall into the block
    seconds = Base.invokelatest(repeated, known.program.run, known.inputs, request["calls"])
    reply = merge(Dict{String,Any}("seconds" => seconds), memory())
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
