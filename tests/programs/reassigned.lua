-- Global functions that a hot loop calls are redefined every few thousand rounds, one after the other, and one of them all the time. Each
-- time what the loop's code rests on has changed. The sums don't depend on who runs it.

local MOST = 48
for k = 1, MOST do
  _G["step" .. k] = function(x) return x + k end
end

local function round(i)
  local x = step1(i) + step2(i) + step3(i) + step4(i) + step5(i) + step6(i) + step7(i) + step8(i)
  x = x + step9(i) + step10(i) + step11(i) + step12(i) + step13(i) + step14(i) + step15(i) + step16(i)
  x = x + step17(i) + step18(i) + step19(i) + step20(i) + step21(i) + step22(i) + step23(i) + step24(i)
  x = x + step25(i) + step26(i) + step27(i) + step28(i) + step29(i) + step30(i) + step31(i) + step32(i)
  x = x + step33(i) + step34(i) + step35(i) + step36(i) + step37(i) + step38(i) + step39(i) + step40(i)
  return x + step41(i) + step42(i) + step43(i) + step44(i) + step45(i) + step46(i) + step47(i) + step48(i)
end

local function run(rounds)
  local sum = 0
  for i = 1, rounds do
    sum = (sum + round(i)) % 1000003
  end
  return sum
end

local rounds = tonumber((...)) or 3
local sums = {}
for k = 1, MOST do
  sums[#sums + 1] = run(rounds)
  _G["step" .. k] = function(x) return x - k end
end
print("one after the other", table.concat(sums, " "))

sums = {}
for k = 1, MOST do
  sums[#sums + 1] = run(rounds)
  local more = k
  step1 = function(x) return x + more end
end
print("one all the time", table.concat(sums, " "))
