local f, x, o = ...
f(); f(x); f(x, 1, "s"); f(f(x)); f(...); f(x, ...); f(f())
x = f(x); local y = f(x); local z, w = f()
o:m(); o:m(x, f()); o.p.q:m(1).r = 2; ("s"):rep(3); o:m():n():a_method_with_a_name_of_more_than_forty_characters(x)
f(x)(y)(z)
local p <const>, q <close> = 5, f(p)
local function g(...) local a, b = ... return a, b, ... end
local function h() return f(x) end
local function i() return (f(x)) end
local function j() return f(x), f(y) end
local function k() local c <close> = f() return f() end
local function l() return end
local function m(...) return ... end
local function n() local c <close> = f() return c end
return (...)
