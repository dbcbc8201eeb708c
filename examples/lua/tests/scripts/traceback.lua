local function f() error("deep") end
local function g() f() end
function global() g() end
local t = {m = function(self) global() end}
print(xpcall(function() t:m() end, debug and debug.traceback or function(m) return m end))
local co = coroutine and coroutine.create(function() g() end)
local function h() local x = nil; x.y.z = 1 end
h()
