local a, b, c = ...
if a then f() end
if not a then f() else g() end
if a and b then f() elseif a or b then g() else h() end
if (a or b) and not (b and c) then f() end
if a == b then f() elseif a ~= b then g() end
if a < b then f() elseif a <= b then g() elseif a > b then h() elseif a >= b then i() end
if a == 1 then f() elseif a == "s" then g() elseif a == nil then h() elseif a == 1000 then i() end
if a < 1 then f() elseif a <= -1 then g() elseif a > 100 then h() elseif a >= 2.0 then i() end
if 1 < a then f() elseif 1 <= a then g() elseif 1 > a then h() elseif 1 >= a then i() end
if a < 1000 then f() end
if nil then f() end
if true then g() end
local x = a and b
x = a or b
x = a and b or c
x = f() and x.y
x = a and 1 or 2
x = a and not b
x = a == b or c
x = a < b and b < c
x = not (a and b)
x = x or {}
x = a and nil or b
local y = a and b.c and b.c.d or "none"
return a and f(), b or g()
