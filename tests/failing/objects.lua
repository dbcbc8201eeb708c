-- Error objects: with and without text.
local Failure = { __tostring = function(e) return "failure: " .. e.what end }
local function fail(what) error(setmetatable({ what = what }, Failure)) end
local function try(n)
  local ok, e = pcall(fail, n)
  return e.what
end
local s = 0
for i = 1, 500 do s = s + try(i) end
print(s)
fail("uncaught")
