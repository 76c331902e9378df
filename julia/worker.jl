# The Gen.jl worker: speaks `pipelines/workers/protocol.py` on its standard streams.
#
#     julia --startup-file=no --threads=1 --project=julia julia/worker.jl --framework NAME --root FOLDER
#
# This file makes sure that the environment is there; `serve.jl` does the rest. It loads no package, so that it can answer
# with a reason where there is none.

# Below the limit for the first reply, `start_seconds` in frameworks/genjl.py, so that the reason is ours.
const LIMIT_SECONDS = parse(Float64, get(ENV, "GENJL_SETUP_SECONDS", "1740"))

# Replies go to a private copy of standard output; what libraries print goes to standard error.
const REPLIES = fdio(ccall(:dup, Cint, (Cint,), 1), true)
redirect_stdout(stderr)

if Sys.islinux()
    # PR_SET_PDEATHSIG, SIGKILL: this process does not outlive the pipeline.
    ccall(:prctl, Cint, (Cint, Culong, Culong, Culong, Culong), 1, 9, 0, 0, 0)
end

# Answers the first request where it cannot be served; the next one, or the end of the stream, ends this process. The
# reason becomes plain text without quotes.
function refuse(line, status, reason)
    found = match(r"\"id\":\s*(\d+)", line)
    id = found === nothing ? "0" : found.captures[1]
    plain = strip(replace(replace(reason, r"[\"\\]" => "'"), r"[^!-~]+" => " "))
    println(REPLIES, "{\"id\":$id,\"ok\":false,\"status\":\"$status\",\"reason\":\"$plain\",\"traceback\":null}")
    flush(REPLIES)
    readline(stdin)  # to be there until the pipeline ends this process, and with it what it left behind
    exit(0)
end

# The cores that a process may use, as the bytes of a mask; empty where the system does not say.
function cores_of(process)
    path = "/proc/$process/status"
    found = isfile(path) ? match(r"^Cpus_allowed:\s*([0-9a-f,]+)"m, read(path, String)) : nothing
    found === nothing && return UInt8[]
    digits = replace(found.captures[1], "," => "")
    return reverse(hex2bytes(lpad(digits, length(digits) + length(digits) % 2, '0')))
end

# Calls `start` while this thread, and with it a process that it starts, may use the cores that the pipeline may use. A worker
# can be confined to one of them, where compiling all of Gen.jl takes several times as long.
function on_all_cores(start)
    own, all = cores_of("self"), cores_of(ccall(:getppid, Cint, ()))
    (isempty(own) || isempty(all)) && return start()
    confine(mask) = ccall(:sched_setaffinity, Cint, (Cint, Csize_t, Ptr{UInt8}), 0, length(mask), mask)
    confine(all)
    try
        return start()
    finally
        confine(own)
    end
end

# Runs `setup.jl`; (status, reason) where that did not succeed, otherwise nothing. In a process of its own, so that Pkg is
# not loaded here and a call in it that blocks can be ended.
function environment_fault()
    folder = @__DIR__  # within a command it would mean another folder
    setup = `$(Base.julia_cmd()) --startup-file=no --project=$folder $folder/setup.jl`
    said = Pipe()
    child = on_all_cores(() -> run(pipeline(setup; stdin = devnull, stdout = said, stderr = stderr); wait = false))
    close(said.in)
    reason = @async readline(said)
    # Somewhat later than the child's own limit, which it cannot keep while a library blocks.
    if timedwait(() -> process_exited(child), LIMIT_SECONDS + 5.0; pollint = 0.05) != :ok
        kill(child, Base.SIGKILL)
        return "failed", "Gen.jl was not installed and precompiled within $LIMIT_SECONDS seconds: ./run perfbench-julia-setup"
    end
    success(child) && return nothing
    # Not to the end of the stream: processes that compile for it can outlive the child, and hold its streams.
    if timedwait(() -> istaskdone(reason), 5.0) != :ok || isempty(fetch(reason))
        return "failed", "julia/setup.jl ended with status $(child.exitcode): ./run perfbench-julia-setup"
    end
    return child.exitcode == 2 ? "skipped" : "failed", fetch(reason)
end

const FIRST_LINE = readline(stdin)
isempty(FIRST_LINE) && exit(0)

const FAULT = withenv(environment_fault, "GENJL_SETUP_SECONDS" => string(LIMIT_SECONDS))
FAULT === nothing || refuse(FIRST_LINE, FAULT...)

try
    include("serve.jl")
catch problem
    showerror(stderr, problem, catch_backtrace())
    refuse(FIRST_LINE, "failed", "julia/serve.jl cannot be loaded: $(first(sprint(showerror, problem), 300))")
end
serve(FIRST_LINE)
