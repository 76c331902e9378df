# Installs and precompiles what julia/Project.toml names, for this Julia; quick once that is done. Progress goes to standard
# error. Where it cannot be done, the last line on standard output says why, and the exit status is one of the two below.
#
#     julia --startup-file=no --project=julia julia/setup.jl
#
# GENJL_SETUP_SECONDS limits it, by default to half an hour. What was done by then is kept.

const OLDEST_JULIA = v"1.9"
const LIMIT_SECONDS = parse(Float64, get(ENV, "GENJL_SETUP_SECONDS", "1800"))
const FAILED, NOT_TO_BE_HAD = 1, 2
# What Pkg and the libraries below it say when there is no way to its servers.
const NO_NETWORK = r"resolve|connect|clone|download|unreachable|timed? ?out|no registries|to be registered"i

# The reason alone goes to standard output, by a private copy of it; what Pkg prints goes to standard error.
const ANSWER = fdio(ccall(:dup, Cint, (Cint,), 1), true)
redirect_stdout(stderr)

function stop(status, reason)
    println(ANSWER, reason)
    flush(ANSWER)
    exit(status)
end

if VERSION < OLDEST_JULIA
    stop(NOT_TO_BE_HAD, "Julia $VERSION is too old for Gen.jl here: it needs Julia $OLDEST_JULIA or later")
end

import Pkg

const WATCHDOG = Timer(LIMIT_SECONDS) do _
    stop(FAILED, "Gen.jl was not installed and precompiled within $LIMIT_SECONDS seconds; what is done is kept, so try again: " *
                 "./run perfbench-julia-setup, with a larger GENJL_SETUP_SECONDS")
end

# A Manifest made by another Julia can name standard libraries that this one does not have. It is made anew.
function drop_manifest_of_another_julia()
    path = joinpath(@__DIR__, "Manifest.toml")
    isfile(path) || return
    made_by = match(r"^julia_version = \"(\d+\.\d+)"m, read(path, String))
    made_by === nothing || made_by.captures[1] == "$(VERSION.major).$(VERSION.minor)" || rm(path)
end

short(problem) = first(strip(replace(sprint(showerror, problem), r"\s+" => " ")), 300)

try
    drop_manifest_of_another_julia()
    Pkg.instantiate()
catch problem
    showerror(stderr, problem)
    # All may be there but the list of packages, which only the network has.
    if any(name -> Base.find_package(name) === nothing, ("Gen", "JSON"))
        occursin(NO_NETWORK, sprint(showerror, problem)) &&
            stop(NOT_TO_BE_HAD, "Gen.jl is not installed, and installing it needs a network: $(short(problem))")
        stop(FAILED, "Gen.jl cannot be installed: $(short(problem))")
    end
end

try
    Pkg.precompile()
catch problem
    showerror(stderr, problem)
    stop(FAILED, "Gen.jl cannot be precompiled: $(short(problem))")
end
close(WATCHDOG)
Pkg.status()
