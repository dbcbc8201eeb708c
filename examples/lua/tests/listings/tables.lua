local t, k, v = ...
t = {}
t = { 1, 2, 3 }
t = { x = 1, y = k, ["z w"] = v, [1] = v, [k] = v, [2.5] = nil }
t = { f(), f() }
t = { ... }
t = { k, x = f(), ... }
local long = {
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
  31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, f() }
v = t.x; v = t[k]; v = t[1]; v = t[-1]; v = t["a key with more than forty characters, not a field"]
t.x = v; t.x = nil; t.x = "s"; t[k] = v; t[k] = true; t[1] = v; t[1] = 5; t.a.b.c = t.d.e
t.a_key_with_more_than_forty_characters_is_no_field = v
t.x, t.y = t.y, t.x
t[k], k = v, t
k, t[k] = v, t
k, v = v, k
local a, b, c = f()
local d, e = 1
local g, h = 1, 2, f()
t.p, t.q, v = f()
v = { { {} } }
