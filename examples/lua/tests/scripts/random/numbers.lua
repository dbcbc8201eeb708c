-- Numbers: tostring and tonumber, arithmetic, comparison, the math library.
math.randomseed(tonumber(SEED) or 17)
local r = math.random
local function pick(t) return t[r(#t)] end
local numbers = {0, -0.0, 1, -1, 2, 3, -3, 7, 0.5, -0.5, 1.5, 2.5, 1e15, 1e16, 2^53, 2^53 + 1, -2^53, 2^62, 2^63, -2^63, 2^64, 1e308, -1e308, 5e-324, 1/0, -1/0, 0/0, math.maxinteger, math.mininteger, math.maxinteger - 1, math.mininteger + 1, 64, 63, -64, 1e100, 10, 100}
local function number()
  local k = r(5)
  if k <= 2 then return pick(numbers) end
  if k == 3 then return r(0) end
  if k == 4 then return (r() - 0.5) * 10 ^ r(-30, 30) end
  return r(-20, 20)
end
local function nan(x) if x ~= x then return "nan" end return x end
local operations = {
  function(a, b) return a + b end, function(a, b) return a - b end, function(a, b) return a * b end, function(a, b) return a / b end,
  function(a, b) return a % b end, function(a, b) return a // b end, function(a, b) return a ^ b end, function(a, b) return a & b end,
  function(a, b) return a | b end, function(a, b) return a ~ b end, function(a, b) return a << b end, function(a, b) return a >> b end,
  function(a) return -a end, function(a) return ~a end, function(a, b) return a < b end, function(a, b) return a <= b end,
  function(a, b) return a == b end, function(a, b) return a > b end, function(a, b) return a .. b end,
  function(a, b) return math.max(a, b) end, function(a, b) return math.min(a, b) end, math.fmod, math.ult,
  function(a) return math.floor(a) end, function(a) return math.ceil(a) end, function(a) return math.abs(a) end,
  math.tointeger, math.type, math.sqrt, math.sin, math.cos, math.tan, math.exp, math.log, function(a) return math.atan(a) end, math.asin, math.acos,
  function(a, b) return math.log(a, b) end, function(a, b) return math.atan(a, b) end,
  math.deg, math.rad, tostring, math.frexp, math.sinh, math.cosh, math.tanh, math.log10, math.pow,
  function(a) local i, f = math.modf(a) return nan(i), nan(f) end,
  function(a) local s = 0 for i = a, a + 2 do s = s + 1 if s > 5 then break end end return s end,
}
for i = 1, 20000 do
  local k = r(#operations)
  local a, b = number(), number()
  -- (That a string is divided by zero has no position in PUC's message.)
  local may_be_text = k ~= 5 and k ~= 6
  if r(20) == 1 and may_be_text then a = tostring(nan(a)) end
  if r(20) == 1 and may_be_text then b = tostring(nan(b)) end
  local ok, x, y = pcall(operations[k], a, b)
  print(k, nan(a), nan(b), ok, type(x) == "string" and x:gsub("-nan", "nan") or nan(x), math.type(x), y and nan(y))
end
local digits = "0123456789abcdefxXpPeE.+- "
for i = 1, 20000 do
  local t = {}
  if r(2) == 1 then t[1] = pick{"0x", "-", "+", " ", "0x.", "1e", "."} end
  for j = 1, r(1, 7) do local k = r(3) == 1 and r(#digits) or r(10) t[#t + 1] = digits:sub(k, k) end
  local s = table.concat(t)
  local v = tonumber(s)
  print(s, v, math.type(v), s:find("[%a ]") == nil and pcall(function() return s + 0 end), tonumber(s:gsub("[%s%.+x-]", ""), r(2, 36)))
end
for i = 1, 3000 do
  local v = string.unpack("d", string.pack("j", r(0)))
  if v == v then print(v, tonumber(tostring(v)), tonumber(string.format("%.17g", v)) == v, tonumber(string.format("%a", v)) == v, v // 1, v % 1 == v % 1 and v % 1) end
end
print(math.random(0), math.random(), math.random(3), math.random(-3, 3), math.random(math.mininteger, math.maxinteger))
for _, seed in ipairs{0, 1, -1, 42, math.maxinteger} do
  math.randomseed(seed)
  for i = 1, 50 do io.write(r(0), " ", r(i), " ", r(-i, i * 1000), " ", string.format("%.17g", r()), "\n") end
end
math.randomseed(5, 6) print(r(0))
