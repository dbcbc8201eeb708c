local function leaf(x) return x % 3 end
local function loops(n)
  local s, t = 0, {}
  for i = 1, n do
    s = s + below(depth, leaf, i)
    local j = 0
    while j < 3 do j = j + 1; t[#t + 1] = below(depth, leaf, j) end
    repeat s = s + 0.5; until below(depth, leaf, i) >= 0
  end
  for k, v in ipairs(t) do s = s + v * below(depth, leaf, k) end
  return s
end
print(loops(60), loops(61))
