-- Errors that speak about the function that called.
local function check(v)
  if type(v) ~= "number" then error("number expected", 2) end
  return v
end
local function twice(v)
  local w = check(v)
  return w * 2
end
for i = 1, 1000 do twice(i) end
local function message(f, ...)
  local ok, text = pcall(f, ...)
  return text
end
for i = 1, 200 do
  local text = message(twice, i % 50 == 0 and "x" or i)
  if type(text) == "string" then print(text) end
end
print(message(error, "plain", 0))
print(message(function() local t = setmetatable({}, { __index = function(t, k) error("no " .. k, 2) end }) return t.x end))
twice({})
