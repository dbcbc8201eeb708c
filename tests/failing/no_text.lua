-- An error object without text.
local function fail(n) if n > 300 then error({ code = n }) end return n end
for i = 1, 400 do fail(i) end
