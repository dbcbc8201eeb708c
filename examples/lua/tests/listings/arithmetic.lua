local a, b, c = ...
local x = a + b * c - a / b
x = a % b ^ c // 2 - -x; x = a // b
x = a + 1; x = 1 + a; x = a - 1; x = 1 - a; x = a + 0.5; x = 3000000000 - a; x = a - 3000000000
x = a * 2; x = 2 * a; x = a / 2; x = 2 / a; x = a % 7; x = a // 7; x = a ^ 2; x = 2 ^ a
x = a & b | c ~ x; x = a << b >> c; x = a & 0xFF; x = 0xFF | a; x = a ~ 5; x = a << 3; x = a >> 3; x = 1 << a
x = ~a; x = #b; x = not c; x = -a
x = a .. b .. "c" .. 4; x = (a .. b) .. c
x = 7 // 2 + 1.5; x = "a" .. "b"; x = 2^53; x = 1 // 0; x = -0.0
x = a < b; x = a ~= nil; x = not (a <= b); x = a < b == c
return x, a > b
