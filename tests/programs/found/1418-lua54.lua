-- lua5.4: a text that is divided by zero fails as if in a library function, without a line
print(pcall(function()
  local v = '10'
  return v // (1 - 1)
end))
