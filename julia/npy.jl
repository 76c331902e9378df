# Arrays in NumPy's .npy format, version 1: what the protocol sends, little-endian floats, C order.

function read_npy(path)
    open(path) do file
        magic = read(file, 8)
        magic[1:6] == UInt8[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] || error("$path is not a .npy file")
        magic[7] == 1 || error("$path has .npy version $(magic[7]); only version 1 is read")
        header = String(read(file, Int(ltoh(read(file, UInt16)))))
        kind = match(r"'descr':\s*'([^']+)'", header).captures[1]
        types = Dict("<f4" => Float32, "<f8" => Float64, "<i4" => Int32, "<i8" => Int64)
        haskey(types, kind) || error("$path has dtype $kind; read are $(join(sort(collect(keys(types))), ", "))")
        shape = Int[parse(Int, size.match) for size in eachmatch(r"\d+", match(r"'shape':\s*\(([^)]*)\)", header).captures[1])]
        length(shape) <= 1 || error("$path has $(length(shape)) axes; at most one is read")
        values = Vector{types[kind]}(undef, prod(shape))
        read!(file, values)
        return isempty(shape) ? values[1] : values
    end
end

function write_npy(path, array::AbstractArray{Float64})
    shape = ndims(array) == 1 ? "($(length(array)),)" : "($(join(size(array), ", ")))"
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': $shape, }"
    # The data begin at a multiple of 64 bytes; the header ends with a newline.
    header = header * " "^(63 - (10 + length(header)) % 64) * "\n"
    open(path, "w") do file
        write(file, UInt8[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 0x01, 0x00])
        write(file, htol(UInt16(length(header))))
        write(file, header)
        write(file, collect(permutedims(array, ndims(array):-1:1)))
    end
end
