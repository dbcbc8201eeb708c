-- Random differential inputs for string.format.
math.randomseed(tonumber(SEED) or 7)
local r = math.random
local function pick(t) return t[r(#t)] end
local numbers = {0, -0.0, 1, -1, 0.5, 1.5, 2.5, 0.1, 1/3, 1e15, 1e16, 123456789012, 1e100, -1e-100, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1/0, -1/0, math.pi, 255, 256, 1e21, 99999.5, 999999.5, 0.00001234, 123456.789, 2^53, 2^63, -2^63, math.maxinteger, math.mininteger, 1e-5, 0.0001, 9.9999e-5, 0.05, 0.15, 0.25, 0.35, 1e22, 1e23}
local function number()
  local k = r(6)
  if k == 1 then return pick(numbers) end
  if k == 2 then return r(0) end
  if k == 3 then return string.unpack("d", string.pack("j", r(0))) end
  if k == 4 then return (r() - 0.5) * 10 ^ r(-20, 20) end
  if k == 5 then return r(-1000, 1000) / pick{1, 2, 4, 8, 10, 100} end
  return r(-100000, 100000)
end
local flags = {"", "", "", "-", "+", " ", "#", "0", "-+", "+0", "# ", "-#", "0#", " 0", "+#0"}
for i = 1, 4000 do
  local conversion = pick{"d", "i", "u", "x", "X", "o", "e", "E", "f", "g", "G", "a", "A", "c", "s", "q"}
  local spec = "%" .. ((conversion == "g" or conversion == "G") and pick{"", "-", "+", "0"} or pick(flags)) .. pick{"", "", tostring(r(1, 20)), tostring(r(99))} .. pick{"", "", "." .. r(0, 20), ".", "." .. r(0, 99)} .. conversion
  local value = number()
  if value ~= value then value = 0 / 0; value = 1.0 end
  if conversion == "c" then value = r(0, 255) end
  if conversion == "s" then value = pick{"", "a", "hello world", ("x"):rep(r(0, 120)), value} end
  local ok, text = pcall(string.format, spec, value)
  print(spec, value, ok, text)
end
for i = 1, 2000 do
  local v = number()
  if v == v then
    print(string.format("%q", v), v, tonumber(tostring(v)) == v, string.format("%.14g|%.17g|%5.1f|%g", v, v, v, v))
  end
end
for i = 1, 500 do
  local n = {}
  for j = 1, r(0, 20) do n[j] = string.char(r(0, 255)) end
  local s = table.concat(n)
  local q = string.format("%q", s)
  print(q, load("return " .. q)() == s)
end
