-- What hooks are told.
local function trace(s) local out = {} debug.sethook(function(e, l) out[#out+1] = l end, "l") load(s)() debug.sethook() print(table.concat(out, ",")) end
trace[[if
math.sin(1)
then
  a=1
else
  a=2
end
]]
trace[[
local function foo()
end
foo()
A = 1
A = 2
A = 3
]]
trace[[--
if nil then
  a=1
else
  a=2
end
]]
trace[[a=1
repeat
  a=a+1
until a==3
]]
trace[[ do
  return
end
]]
trace[[local a
a=1
while a<=3 do
  a=a+1
end
]]
trace[[while math.sin(1) do
  if math.sin(1)
  then break
  end
end
a=1]]
trace[[for i=1,3 do
  a=i
end
]]
trace[[for i,v in pairs{'a','b'} do
  a=tostring(i) .. v
end
]]
trace[[for i=1,4 do a=1 end]]
local ev = {}
debug.sethook(function(e) ev[#ev+1] = e .. ":" .. tostring(debug.getinfo(2, "n").name) end, "cr")
local function f(n) if n == 0 then return 1 end return f(n - 1) end
f(2) math.sin(1); ("x"):rep(2)
debug.sethook()
-- Whether the function that sets the hook is told of is left open.
if ev[1] == "return:sethook" then table.remove(ev, 1) end
print(table.concat(ev, " "))
local n = 0
debug.sethook(function(e) n = n + 1 if n > 5 then error("enough") end end, "", 100)
print(pcall(function() while true do end end))
debug.sethook()
print(debug.gethook())
