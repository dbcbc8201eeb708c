-- Runs `f` below so many natives that call back: string.gsub, table.sort, a metamethod, and gives its results.
local depth = tonumber((...)) or 0
local function below(depth, f, ...)
  if depth == 0 then return f(...) end
  local arguments, results = table.pack(...), nil
  local function go() results = table.pack(below(depth - 1, f, table.unpack(arguments, 1, arguments.n))) end
  if depth % 3 == 1 then string.gsub("x", "x", go)
  elseif depth % 3 == 2 then table.sort({ 2, 1 }, function(a, b) if not results then go() end return a < b end)
  else local _ = setmetatable({}, { __index = go }).x end
  return table.unpack(results, 1, results.n)
end
