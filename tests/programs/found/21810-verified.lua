-- verified: the verifier took a loop behind a peeled round of itself, whose test was folded, for an effect run twice
local v18
local function catch19(f)
  pcall(f)
end
for i21 = 1, 5 do
  catch19(function(p22)
    for i23 = 1, 15 do
      for i25 = 1, 40 do
        v18 = p22 or 1
      end
    end
  end)
end
