-- Errors out of hot code: caught, rethrown, with messages and positions.
local function fail(i) if i == 77 then error("at " .. i) end return i end
local function protected(n)
  local caught = {}
  for i = 1, n do
    local ok, result = pcall(fail, i)
    if not ok then caught[#caught + 1] = result:gsub("^.*/", "") end
  end
  return #caught, caught[1]
end
for _ = 1, 10 do protected(50) end
print(protected(100))

local function index(t) return t.x.y end
local good = { x = { y = 1 } }
local total = 0
for _ = 1, 500 do total = total + index(good) end
print(total)
for _, bad in ipairs({ {}, 5, "text", { x = 5 } }) do
  print(select(2, pcall(index, bad)):gsub("^.*/", ""))
end

local function arithmetic(a, b) return a * b + 1 end
for i = 1, 500 do arithmetic(i, 2) end
print(select(2, pcall(arithmetic, {}, 1)):gsub("^.*/", ""))
print(select(2, pcall(arithmetic, "abc", 1)):gsub("^.*/", ""))
print(arithmetic("10", 2))

local function call(f) return f(1) end
for _ = 1, 500 do call(math.abs) end
print(select(2, pcall(call, nil)):gsub("^.*/", ""))
print(select(2, pcall(call, function(x) return x .. nil end)):gsub("^.*/", ""))

local function rethrow(n)
  local ok, e = pcall(function()
    for i = 1, n do if i == n then error({ code = i }) end end
  end)
  if not ok then error(e) end
end
for _ = 1, 50 do pcall(rethrow, 20) end
local ok, e = pcall(rethrow, 33)
print(ok, type(e), e.code)

local function nested(n)
  if n == 0 then error("bottom", 0) end
  nested(n - 1)
  return n
end
for _ = 1, 100 do pcall(nested, 5) end
print(pcall(nested, 20))

local function compare(a, b) return a < b end
for i = 1, 500 do compare(i, 5) end
print(select(2, pcall(compare, 1, "x")):gsub("^.*/", ""))
print(compare("a", "b"), compare(1, 2.5))

-- Divided by zero where a text is an operand: as if in a library function, without a line. Names end at a zero.
local function divide(a, b) return a // b, a % b end
for _ = 1, 300 do divide("7", 2) end
print(pcall(divide, "7", 0))
print(select(2, pcall(function() return "z\0y" | 1 end)):gsub("^.*/", ""))
print(select(2, pcall(function() return string["x\0y"]() end)):gsub("^.*/", ""))
