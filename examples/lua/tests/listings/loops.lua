local a, b = ...
while a < b do a = a + 1 end
while true do
  if a == b then break end
  if a > b then goto continue end
  a = a + 1
  ::continue::
end
while a do if b then a = f() else b = g() end end
repeat local c = f() until c
repeat local c <close> = f() if a then break end until c == 1
for i = 1, 10 do f(i) end
for i = a, b, -1 do if i == 5 then break end end
for i = 1, 3 do i = i + 1; t[i] = function() return i end end
for i = 1, 3 do t[i] = function() return i end end
for k, v in pairs(t) do if v then goto next end f(k) ::next:: end
for k in next, t do k = f(function() k = 1 end) end
for k in f do return k end
do local x <close> = f(); for i = 1, 2 do local y <close> = g() if i then goto out end end end
::out::
::again::
if f() then goto again end
do local z <close> = f() goto again end
