-- A stack that overflows: by itself, since under stress each of its two hundred thousand calls deoptimizes everything there is.
print(pcall(function() local function f() return 1 + f() end return f() end))
