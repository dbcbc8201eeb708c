-- The string library: results, limits and messages.
local function t(f, ...)
  local r = table.pack(pcall(f, ...))
  for i = 2, r.n do r[i] = tostring(r[i]) end
  print(table.concat(r, "\t", 2, r.n))
end
local f = string.format
-- byte, sub, char, rep, case
for i = -5, 5 do
  t(string.byte, "abc", i)
  for j = -5, 5 do t(function() return ("abc"):sub(i, j), ("abc"):byte(i, j) end) end
end
t(string.byte, "") t(string.byte) t(string.byte, "abc", "x") t(string.byte, "abc", 1.5) t(string.sub, "abc") t(string.sub, "abc", "2") t(string.sub, 12345, 2, 3)
t(string.sub, "abc", math.mininteger, math.maxinteger) t(string.sub, "abc", math.maxinteger) t(string.char) t(string.char, 72, 105) t(string.char, 256) t(string.char, -1) t(string.char, "65") t(string.char, 65, {})
t(string.rep, "ab", 3) t(string.rep, "ab", 3, ",") t(string.rep, "", 1000) t(string.rep, "x", 0) t(string.rep, "x", -1) t(string.rep, "x", 1 << 40) t(string.rep) t(string.rep, "x", "y") t(string.rep, "", 5, "-") t(string.rep, "abc", 1, ",") print(#string.rep("abc", 1000, "::"))
t(string.upper, "aBc1\200") t(string.lower, "AbC") t(string.reverse, "abc") t(string.reverse, "") t(string.len, "a\0b") t(string.len, {}) t(string.upper) t(string.dump, print) t(string.dump)
print(("x"):rep(3), ("%d"):format(5), #("abc"):upper(), ("a,b"):find(",")) print(pcall(function() return ("x").y end), pcall(function() return ("x"):nope() end))
-- find, match, gmatch, gsub
t(string.find, "abc", "b") t(string.find, "abc", "") t(string.find, "abc", "", 4) t(string.find, "abc", "", 5) t(string.find, "abc", "c", -1) t(string.find, "a.c", ".", 1, true) t(string.find, "a+b", "+", 1, true) t(string.find, "abc", "b()") t(string.find, "", "") t(string.find, "a)", "a)") t(string.find, "a]b", "]") t(string.find, "a\0b", "\0") t(string.find, "abc", "^b") t(string.find, "abc", "^b", 2) t(string.find, "a^b", "a^b") t(string.find, "a$b", "a$b") t(string.find, "ab$", "b$") t(string.find, "ab$", "%$")
t(string.match, "key = val", "(%w+)%s*=%s*(%w+)") t(string.match, "2024-01-02", "(%d+)-(%d+)-(%d+)") t(string.match, "abc", "()b()") t(string.match, "abc", ".-") t(string.match, "abc", ".-$") t(string.match, "  trim  ", "^%s*(.-)%s*$") t(string.match, "f(a(b)c)d", "%b()") t(string.match, "THE (quick) fox", "%f[%a]%a+", 5) t(string.match, "[[x]]", "%[%[(.-)%]%]") t(string.match, "'it''s'", "^(['\"])(.*)%1$") t(string.match, "aXb", "%u") t(string.match, "x", "(x)(y?)") t(string.match, 123, 2)
for k, v in string.gmatch("a=1, b=2", "(%w+)=(%w+)") do io.write(k, v, ";") end for w in ("one two"):gmatch("%a+") do io.write(w, ";") end for p in ("abc"):gmatch("()") do io.write(p, ";") end for w in ("abcabc"):gmatch("b", 3) do io.write(w, ";") end for w in ("^a^a"):gmatch("^a") do io.write(w, ";") end for w in ("abc"):gmatch("", -1) do io.write("[", w, "]") end print()
t(string.gsub, "hello world", "o", "0") t(string.gsub, "hello", "", "-") t(string.gsub, "abc", "%w", "%0%0") t(string.gsub, "abc", "%w", "%1") t(string.gsub, "abc def", "(%w+) (%w+)", "%2 %1") t(string.gsub, "abc", "b", "%%") t(string.gsub, "abc", "b", {b = "X"}) t(string.gsub, "abc", ".", {a = 1, b = false}) t(string.gsub, "abc", "(.)(.)", function(a, b) return b .. a end) t(string.gsub, "abc", ".", function() end) t(string.gsub, "aaa", "a", "b", 2) t(string.gsub, "aaa", "a", "b", 0) t(string.gsub, "aaa", "a", "b", -1) t(string.gsub, "abc", "^a", "x") t(string.gsub, "aaa", "^a", "x") t(string.gsub, "abc", "x*", "-") t(string.gsub, "  x  ", "^%s+", "") t(string.gsub, "a.b", "%.", "%%") t(string.gsub, 10, 1, 2)
t(string.gsub, "abc", "b", setmetatable({}, {__index = function(_, k) return k:upper() end}))
for _, p in ipairs{"[a", "%", "[%", "(a", "a).", "%b", "%bx", "%f", "%1", "(%1)", "%0", "[]", "[^]", "[]]", "[a-]", "[]-a]", "[%a-z]", "(()", "a(b", ("(a"):rep(33), ("a?"):rep(200), "%g+", "[[:alpha:]]"} do
  t(string.find, "aaab-z]", p) t(string.gsub, "aab", p, "<%0>") t(string.gsub, "aab", p, "<%1>")
end
t(string.find, "x", "y[a") t(string.gsub, "a", "a", "%2") t(string.gsub, "a", "a", "%") t(string.gsub, "a", "a", "%x") t(string.gsub, "a", "a", {a = {}}) t(string.gsub, "a", "a", nil) t(string.gsub, "a", "a") t(string.gsub, "a", "()a", "%1") t(string.gsub, "a", "a", print, "x") t(string.gsub, "a", "a", function() error("in callback", 0) end) t(string.gmatch, "a") t(string.find, "a", {}) t(string.match)
print(string.find(("a"):rep(300), ("a?"):rep(190)), pcall(string.find, ("a"):rep(300), ("a?"):rep(201)))
-- format
for _, s in ipairs{"%y", "%", "%10", "%0123d", "%-+ #0d", "%.123d", "%5q", "%F", "%h", "%5%", "%.", "%Ld", ("%"):rep(3), "%1234567890123456789012345678901234567890d", "%100d", "%.100f", "%+x", "%.3c", "%05s", "%10.3p", "%#d", "%+u", "%d %d"} do t(f, s, 1) end
t(f, "%d", 1.5) t(f, "%d", "x") t(f, "%d", "10") t(f, "%d", 3.0) t(f, "%d", 2^63) t(f, "%s") t(f, "%d") t(f, "%c", "x") t(f, {}) t(f) t(f, "%s %s", 1) t(f, "%%") t(f, "%s%%", 1) t(f, "%5s|%-5s|%.2s|%5.1s", "abc", "abc", "abc", "abc") t(f, "%s\0%s", "a", "b\0c") t(f, "%5s", "b\0c") t(f, "%c%c", 0, 300) t(f, "%5c|%-5c|", 65, 66)
t(f, "%s %s %s", nil, true, 1.5) t(f, "%s", setmetatable({}, {__tostring = function() return "T" end})) t(f, "%s", setmetatable({}, {__tostring = function() return {} end})) t(f, "%.3s", setmetatable({}, {__tostring = function() return "abcdef" end})) t(f, "%q", "a\nb\0c\0001\r\"\\\200\127") for _, v in ipairs{1, 1.5, 1/3, 2^63, math.mininteger, math.maxinteger, 1/0, -1/0, true, 3.0, -0.0} do t(f, "%q", v) end t(f, "%q", nil) t(f, "%q", {}) t(f, "%p", 1) t(f, "%-8p|", nil)
t(f, "%a %A %.3a %10.1a|%.0a|%#a", 1, 255.5, 1.0, 3.1, 1.5, 1) t(f, "%g %g %g %g %g", 1e300, 100000, 1e6, 1e-5, 0.0001) t(f, "%e %.0e %#.0e", 0, 15, 15) t(f, "%5.3d|%-+8d|% d|%05d|%.0d|", 7, 5, 5, -5, 0) t(f, "%x %X %#x %o %#o %u", 255, 255, 255, 8, 8, -1) t(f, "%.14g %.17g", 0.1, 0.1) t(f, "%i", 42) t(f, "%010.2f|%+.1f|%-8.1f|", -1.5, 2.25, 3.75) t(f, "%f %e %g", 1/0, -1/0, 1/0)
-- pack
for _, a in ipairs{{"i17", 1}, {"i0", 1}, {"y", 1}, {"c", "x"}, {"c1", "xx"}, {"i1", 128}, {"I1", 256}, {"I1", -1}, {"Xy", 1}, {"X", 1}, {"!3i4", 1}, {"!i3", 1}, {"z", "a\0b"}, {"s1", ("x"):rep(256)}, {"d"}, {"!17d", 1}, {"s", "a"}, {"c5", "ab"}, {"!4 i1 !2 i4", 1, 2}, {"X z"}, {"j"}, {"i3 i4 i5", -1, 2, -3}, {"Xc1"}, {">i2 <i2 =i2", 1, 1, 1}, {"f", 1.5}, {"z s2 c3", "a", "bb", "ccc"}, {"!8 b Xd d", 1, 2}} do
  t(function() return (string.pack(table.unpack(a)):gsub(".", function(c) return f("%02x", c:byte()) end)) end) t(string.packsize, a[1])
end
t(string.unpack, "i4", "abc") t(string.unpack, "z", "abc") t(string.unpack, "i4", "abcd", 2) t(string.unpack, "i4", "abcd", 6) t(string.unpack, "i4", "abcd", -4) t(string.unpack, "i16", ("\255"):rep(16)) t(string.unpack, "I9", ("\255"):rep(9)) t(string.unpack, "s1", "\5abc") t(string.unpack, "<i2 >i2", "\1\0\1\0") t(string.unpack, "z", "ab\0cd") t(string.unpack, "fd", string.pack("fd", 0.5, -2)) t(string.unpack, "s1 B", "\2ab\7") t(string.packsize, "!8 i1 Xi8")
