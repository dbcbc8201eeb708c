local by_value, by_cell = 1, 2
local function both() by_cell = by_cell + by_value return both end
local function reassigned() return reassigned end
reassigned = nil
local a, b
function a() return b() end
function b() return a() end
local function parameters(p, q, ...)
  local function inner() q = p; return p, q end
  return inner, ...
end
local module = {}
local function use() return module.field, module[1], module.f(print) end
function module.f(x) return function() return function() return x, by_value, by_cell end end end
function module:method(...) self.x = ... return self end
function global() global_variable = other_global end
local _ENV = { print = print }
print(x)
y = function() return print(y) end
_ENV = nil
