-- lua5.4: a name in an error message ends at a zero
print(pcall(function()
  return 'z\0z' | 1
end))
