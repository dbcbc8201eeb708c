-- closures, upvalues, loops
local fs = {}
for i = 1, 3 do fs[i] = function() i = i + 1 return i end end
print(fs[1](), fs[1](), fs[2](), fs[3]())
local function counter() local n = 0 return function() n = n + 1 return n end, function(v) n = v end end
local get, set = counter() print(get(), get()) set(10) print(get())
local x = 1 local function sh() x = x + 1 return x end print(sh(), x) do local x = 5 print(sh(), x) end
local a = {} for i = 1, 5 do local j = i * 2 a[i] = function() j = j + i return j end end print(a[1](), a[1](), a[5]())
local k = 0 local w = {} while k < 3 do k = k + 1 local c = k w[k] = function() c = c + 1 return c end end print(w[1](), w[1](), w[3]())
local rr = {} local n = 0 repeat local z = n rr[#rr + 1] = function() return z end n = n + 1 until z >= 2 print(rr[1](), rr[2](), rr[3]())
-- goto
do local i = 1 ::top:: if i <= 3 then io.write(i, " ") i = i + 1 goto top end print() end
for i = 1, 3 do for j = 1, 3 do if j == 2 then goto continue end io.write(i, ":", j, " ") ::continue:: end end print()
do local t = {} local i = 1 ::a:: local y = i t[i] = function() return y end i = i + 1 if i <= 3 then goto a end print(t[1](), t[2](), t[3]()) end
-- varargs
local function v(...) local a, b = ... return select("#", ...), a, b, ... end
print(v()) print(v(1)) print(v(1, nil, 3)) print((v(1, 2)))
local function va(...) local t = {...} return #t, ... end print(va(1, 2, 3)) print(va())
local function tail(n, ...) if n == 0 then return ... end return tail(n - 1, n, ...) end print(tail(5)) print(select("#", tail(200)))
print((function(...) return select("#", ...) end)(table.unpack({}, 1, 100)))
local function f3() return 1, 2, 3 end local t = {f3(), f3()} print(#t) t = {f3(), (f3())} print(#t) t = {(f3())} print(#t) print(f3(), f3()) print((f3()))
local p, q, r, s = f3() print(p, q, r, s) p, q = f3(), 10 print(p, q) p, q, r = 0, f3() print(p, q, r)
-- multiple assignment evaluation
do local i, t = 1, {} i, t[i] = i + 1, 20 print(i, t[1], t[2]) end
do local a, b, c = 1, 2 a, b, c = b, a, a print(a, b, c) end
do local t = {1, 2} t[1], t[2] = t[2], t[1] print(t[1], t[2]) end
do local a = {} local i = 3 i, a[i], a[i + 1] = 4, 5, 6 print(i, a[3], a[4]) end
-- integer and float
print(1, 1.0, -0.0, 1e15, 1e16, 2^53, 2^63, 1e100, 0.1, 1/3, 100 // 1, 7 // 2, -7 // 2, 7 // -2, 7.0 // 2, -7 % 3, 7 % -3, -7.5 % 2, 5 % math.huge, -5 % math.huge)
print(math.maxinteger + 1 == math.mininteger, math.maxinteger * 2, math.mininteger // -1, math.mininteger % -1, 5 // 0.0, -5 // 0.0, 0/0 ~= 0/0)
print(1 == 1.0, math.type(1), math.type(1.0), math.type("1"), 2^31 | 0, "10" + 5, "0x10" * 2, "3.5" + 1, 10 .. 20, -"2", "10" / "2", "7" // "2", 1e308 * 10, -1e308 * 10)
print(0x7fffffffffffffff, 0xffffffffffffffff, 0x1p4, 0x.8, 1e2, .5, 3., 0xA, 1e-3, 9223372036854775807, 9223372036854775808, -9223372036854775808)
print(1 < 1.5, 1 <= 1.0, math.maxinteger < math.huge, math.maxinteger + 0.0 == 2^63, math.maxinteger < 2^63, math.mininteger <= -2^63, 2^53 == 2^53 + 1, "a" < "b", "a" < "B", "" < "a", "a\0b" < "a\0c", "Z" < "a")
print(3 & 5, 3 | 5, 3 ~ 5, ~0, 1 << 63, 1 << 64, 1 >> 1, -1 >> 1, -1 >> 63, 1 << -1, 2 >> -1, 3.0 & 1)
print(8 // 3 * 3 + 8 % 3, 2^3^2, -2^2, not nil == true, 1 .. 2 == "12", "a" .. "b" .. "c" == "abc", 1 + 2 < 4 and "y" or "n", nil and 1, false or nil, 1 and 2)
-- loops
for i = 10, 1, -3 do io.write(i, " ") end print() for i = 1, 0 do print("never") end for i = 1.0, 2, 0.5 do io.write(i, " ") end print()
for i = math.maxinteger - 1, math.maxinteger do io.write(i, " ") end print() for i = math.mininteger, math.mininteger + 1 do io.write(i, " ") end print() for i = 1, math.huge do if i > 3 then break end io.write(i, " ") end print() for i = 3, -math.huge, -1 do if i < 0 then break end io.write(i, " ") end print()
for i = 1, 3 do local j = i i = 10 io.write(j, ",", i, " ") end print() for i = 1, 2.9 do io.write(i, " ") end print() for i = -1, -2.1, -1 do io.write(i, " ") end print()
for i = 0/0, 1 do io.write("nan ") end for i = 1, 0/0 do io.write("nan2 ") end for i = 1.0, 0/0 do io.write("nan3 ") end print()
-- tables
local t = {1, 2, nil, 4, x = 1, ["y z"] = 2, [10] = 10, [2.0] = "two"} print(t[2], t.x, t["y z"], t[10], #t == 4 or #t == 2)
t = {[1] = "a", "b"} print(t[1]) t = {f3(), nil} print(#t) t = {n = 1, f3()} print(#t)
t = {} t[1.0] = "f" t[2^53] = "big" print(t[1], t[2^53 | 0], next({[3.0] = 1})) t[1] = nil print(t[1], next(t) == 2^53 | 0)
t = {} for i = 1, 100 do t[i] = i end for i = 1, 90 do t[i] = nil end local c = 0 for _ in pairs(t) do c = c + 1 end print(c)
t = {10, 20, 30, a = 1} for k, v in pairs(t) do t[k] = nil end print(next(t)) 
local keys = {} for k in pairs({5, 6, 7}) do keys[#keys + 1] = k end print(table.concat(keys, ","))
-- strings
print("a\tb\\n\"\'\65\x41\u{41}\u{20ac}\z
   c", 'x\
y', [[long
string]], [==[a]]b]==], #"\0\0", "\048\49")
print(("x"):rep(3), #"abc", ("abc"):upper(), "abc" == 'abc', "10" == 10, 0 == "0", -0.0 == 0.0)
-- metamethods
local mt = {} mt.__index = function(t, k) return k .. "!" end mt.__newindex = function(t, k, v) rawset(t, k, v * 2) end mt.__call = function(self, ...) return "called", ... end mt.__tostring = function() return "OBJ" end mt.__len = function() return 42 end mt.__eq = function() return true end mt.__lt = function() return true end mt.__le = function() return false end mt.__concat = function(a, b) return "cat" end mt.__unm = function() return "neg" end mt.__name = "My" mt.__close = function() print("closed") end
for _, op in ipairs{"add", "sub", "mul", "div", "mod", "pow", "idiv", "band", "bor", "bxor", "shl", "shr"} do mt["__" .. op] = function(a, b) return op .. ":" .. type(a) .. ":" .. type(b) end end mt.__bnot = function() return "bnot" end
local o, o2 = setmetatable({}, mt), setmetatable({}, mt)
print(o.foo, o(1, 2), tostring(o), #o, o == o2, o < o2, o <= o2, o .. "x", "x" .. o, 1 .. o, o .. o2, -o, ~o, o ~= o2, o > 1, 1 >= o) o.z = 21 print(rawget(o, "z"))
print(o + 1, 1 + o, o - 1, o * 1, o / 1, o % 1, o ^ 1, o // 1, o & 1, 1 | o, o ~ 1, o << 1, 1 >> o, o + "x", "10" + o, 1.5 & o)
do local a <close> = o local b <const> = 5 print("in", b) end
local prox = setmetatable({}, {__index = {a = 1, b = setmetatable({}, {__index = {c = 3}})}}) print(prox.a, prox.b.c, prox.d)
local base = {hello = function(self) return "hi " .. self.name end} base.__index = base local der = setmetatable({bye = function(self) return "bye " .. self.name end}, base) der.__index = der local ob = setmetatable({name = "n"}, der) print(ob:hello(), ob:bye(), ob.nope)
print(pcall(function() return setmetatable({}, {__index = function(t, k) error("idx " .. k) end}).foo end))
print(rawequal(o, o2), rawlen({1, 2}), rawlen("abc"), rawget(o, "nope")) print(#setmetatable({1, 2, 3}, {__len = function() return 10 end}))
local ro = setmetatable({}, {__newindex = function() error("readonly", 2) end}) print(pcall(function() ro.x = 1 end)) local store = {} local wt = setmetatable({}, {__newindex = store}) wt.x = 5 print(rawget(wt, "x"), store.x)
print(pcall(setmetatable({}, {__call = function(self, a) return a end}), 7)) local cc = setmetatable({}, {__call = setmetatable({}, {__call = function(...) return select("#", ...) end})}) print(cc(1, 2))
for k, v in pairs(setmetatable({}, {__pairs = function(t) return function(_, k) if not k then return 1, 2 end end, t, nil end})) do print(k, v) end
print(tostring(setmetatable({}, {__name = "NAME"})):match("^NAME: ") ~= nil, pcall(tostring, setmetatable({}, {__tostring = function() return 1 end})))
-- pcall, error, close order
print(pcall(error, {code = 1})) print(select(2, pcall(error, {code = 1})).code) print(pcall(error)) print(xpcall(function() error("E") end, function(m) return "H " .. m end))
print(pcall(function() local a <close> = setmetatable({}, {__close = function(_, e) print("c1", e) end}) local b <close> = setmetatable({}, {__close = function(_, e) print("c2", e) error("second", 0) end}) error("first", 0) end))
local function closer(n) return setmetatable({}, {__close = function(_, e) print("close", n, e) end}) end
do local a <close>, b = closer("a"), 1 local c <close> = closer("c") goto out ::back:: end ::out:: for i = 1, 2 do local x <close> = closer(i) if i == 1 then goto cont end ::cont:: end
print((function() local x <close> = closer("ret") return "value", 1, 2 end)()) for i in (function() local n = 0 return function() n = n + 1 if n < 3 then return n end end, nil, nil, closer("iter") end)() do print(i) end for i in (function() return function() return 1 end, nil, nil, closer("brk") end)() do break end
while true do local x <close> = closer("w") break end print(pcall(function() for i in (function() return function() error("iter err", 0) end, nil, nil, closer("ie") end)() do end end))
-- deep recursion, stack overflow
local function deep(n) if n == 0 then return 0 end return 1 + deep(n - 1) end print(deep(10000)) local function inf() return 1 + inf() end local ok, e = pcall(inf) print(ok, (tostring(e):match("stack overflow")))
local function tc(n) if n == 0 then return "done" end return tc(n - 1) end print(tc(1000000)) print(pcall(string.rep, "x", -1)) print(select("#", string.byte(("x"):rep(100), 1, -1)))
local s = string.rep("a", 1000) local ok, e = pcall(function() local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1] end) print(ok, tostring(e):match("stack overflow") or e)
print(load("return 1 + 1")(), load(function() return nil end), pcall(load, nil)) local parts = {"return ", "1", "+2", nil} local pi = 0 print(load(function() pi = pi + 1 return parts[pi] end)()) print(load("a = 1; return a", "n", "t", {})()) print(load("return _ENV.x", "n", "t", {x = 9})())
do local _ENV = {print = print} x = 5 print(x, _ENV.x) end local function envf(_ENV) return y end print(envf({y = 3}))
print(string.format("%s %s %s", nil, true, {} ~= nil), tostring(nil), tostring(1e15), tostring(-0.0), 2^24, 1e3) print(next({}), type(next), select(-1, 1, 2)) print(#arg, ...)
