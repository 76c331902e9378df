# The Gen.jl worker: speaks `pipelines/protocol.py` on its standard streams.
#
#     julia --startup-file=no --threads=1 --project=julia julia/worker.jl --framework NAME --root FOLDER
#
# This file makes sure that the environment is there; `serve.jl` does the rest. It loads no package, so that it can answer
# with a reason where there is none.

const OLDEST_JULIA = v"1.9"
const SETUP = "julia --project=julia julia/setup.jl"
# Below the limit that the pipeline sets for the first reply, so that the reason is ours.
const LIMIT_SECONDS = parse(Float64, get(ENV, "GENJL_SETUP_SECONDS", "280"))

# Replies go to a private copy of standard output; what libraries print goes to standard error.
const REPLIES = fdio(ccall(:dup, Cint, (Cint,), 1), true)
ccall(:dup2, Cint, (Cint, Cint), 2, 1)

if Sys.islinux()
    # PR_SET_PDEATHSIG, SIGKILL: this process does not outlive the pipeline.
    ccall(:prctl, Cint, (Cint, Culong, Culong, Culong, Culong), 1, 9, 0, 0, 0)
end

# The answer to the first request where it cannot be served. Its reason is plain text without quotes.
function refuse(line, status, reason)
    found = match(r"\"id\":\s*(\d+)", line)
    id = found === nothing ? "0" : found.captures[1]
    plain = replace(replace(reason, r"[\"\\]" => "'"), r"\s+" => " ")
    println(REPLIES, "{\"id\":$id,\"ok\":false,\"status\":\"$status\",\"reason\":\"$plain\",\"traceback\":null}")
    flush(REPLIES)
end

const FIRST_LINE = readline(stdin)
isempty(FIRST_LINE) && exit(0)

if VERSION < OLDEST_JULIA
    refuse(FIRST_LINE, "skipped", "Julia $VERSION is too old for the Gen.jl worker: it needs $OLDEST_JULIA or later")
    exit(0)
end

const WATCHDOG = Timer(LIMIT_SECONDS) do _
    reason = "Gen.jl was not installed and precompiled within $LIMIT_SECONDS seconds. Run once, with a network: $SETUP"
    refuse(FIRST_LINE, "failed", reason)
    exit(0)
end

try
    include("setup.jl")
catch problem
    reason = "Gen.jl cannot be installed: $(first(split(sprint(showerror, problem), '\n'))). By hand: $SETUP"
    refuse(FIRST_LINE, "skipped", reason)
    exit(0)
end
close(WATCHDOG)

include("serve.jl")
serve(FIRST_LINE)
