-- The utf8 library.
local function t(f, ...)
  local r = table.pack(pcall(f, ...))
  for i = 2, r.n do r[i] = tostring(r[i]) end
  print(table.concat(r, "\t", 2, r.n))
end
t(utf8.char, 72, 8364, 0x10FFFF, 0x7FFFFFFF) t(utf8.char) t(utf8.char, -1) t(utf8.char, 0x80000000) t(utf8.char, "x") t(utf8.char, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x1FFFFF, 0x200000, 0x3FFFFFF, 0x4000000)
t(utf8.codepoint, "a€", 1, -1) t(utf8.codepoint, "€", 2) t(utf8.codepoint, "abc", 4) t(utf8.codepoint, "abc", 0) t(utf8.codepoint, "abc", 1, 4) t(utf8.codepoint, "\xff") t(utf8.codepoint, "\u{D800}") t(utf8.codepoint, "\u{D800}", 1, 1, true) t(utf8.codepoint, "\xc0\x80") t(utf8.codepoint, "abc", -1) t(utf8.codepoint, "abc", 3, 2) t(utf8.codepoint, "\u{7FFFFFFF}", 1, 1, true) t(utf8.codepoint)
t(utf8.len, "a€") t(utf8.len, "\xff") t(utf8.len, "a€", 3) t(utf8.len, "abc", 5) t(utf8.len, "abc", 4) t(utf8.len, "abc", 1, 4) t(utf8.len, "\u{7FFFFFFF}") t(utf8.len, "\u{7FFFFFFF}", 1, -1, true) t(utf8.len, "abc", -5) t(utf8.len, "abc", 1, -5) t(utf8.len, "") t(utf8.len, "\xF4\x90\x80\x80") t(utf8.len, "\xe2\x82")
for n = -4, 4 do for i = -4, 7 do t(utf8.offset, "a€b", n, i) end end t(utf8.offset, "abc", 1, 6) t(utf8.offset, "abc", 5) t(utf8.offset, "")
for p, c in utf8.codes("a€\u{10FFFF}") do io.write(p, " ", c, ";") end print() for p, c in utf8.codes("") do print("never") end
t(function() for p, c in utf8.codes("a\xff") do io.write(p, " ") end end) t(function() for p, c in utf8.codes("a\xe2\x82") do io.write(p, " ") end end) t(function() for p, c in utf8.codes("\u{200000}") do end end) t(function() for p, c in utf8.codes("\u{200000}", true) do print(p, c) end end) t(utf8.codes) t(function() for p, c in utf8.codes("\u{D800}") do end end)
print((utf8.charpattern:gsub(".", function(c) return string.format("%02x", c:byte()) end))) for c in ("a€\u{1F600}"):gmatch(utf8.charpattern) do io.write(#c, " ") end print()
