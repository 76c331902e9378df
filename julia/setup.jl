# Installs and precompiles what julia/Project.toml names, for this Julia; quick when that is done. Progress goes to standard
# error:
#
#     julia --project=julia julia/setup.jl

import Pkg

Pkg.instantiate(; io = stderr)
Pkg.precompile(; io = stderr)
