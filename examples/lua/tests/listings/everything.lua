if x then goto done end
do local w <close> = x; goto done end
do
local x <const>, y <close> = 1, nil; local z = x; for i = 1, 2 do if i then goto cont end ::cont:: end end
::top:: repeat local u = 1; if u then break end until u == 2
function f(...) local a, b = ...; return select('#', ...), function() a = a + 1; return a, b end end
function t.a.b:c(d, ...) self.x = d; return ... end
x = [==[ long ]] string ]==] .. 'es\x41\u{20AC}\z
   c\065' .. "\
"
y = 0x.8p3 + 1e10 // 3 % 2 ^ -2 << 1 >> 2 & 3 | 4 ~ 5
t = { 1, 2; x = 3, [4] = 5, f(), ... }
while true do if a then break elseif b then break else x.y[z] = nil, 2 end end
for k, v in pairs(t), nil do a.b, c[1], d = 1, 2, f(x) end
::done:: ;
return f{1}, f"x", (f()), -x, not y, #z, ~w
