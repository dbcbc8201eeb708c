-- What nobody changed is changed while frames rest on it, the outermost one through callbacks.
function rate() return 1 end
local Account = {}
Account.__index = Account
function Account:fee() return 2 end
local account = setmetatable({}, Account)
local function round(i)
  below(depth, function(n)
    if n == 9 then rate = function() return 10 end end
    if n == 15 then function Account:fee() return 20 end end
    if n == 18 then setmetatable(Account, { __index = { bonus = function() return 100 end } }) end
    if n == 21 then Account.fee = nil; Account.__index = function() return function() return 300 end end end
    return n
  end, i)
  local bonus = account.bonus
  return rate() + account:fee() + (bonus and bonus(account) or 0)
end
local parked = coroutine.wrap(function()
  while true do coroutine.yield(rate() + account:fee()) end
end)
local text = {}
for i = 1, 25 do text[i] = round(i) + parked() end
print(table.concat(text, " "))
