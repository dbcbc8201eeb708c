-- The io library.
local function t(f, ...)
  local r = table.pack(pcall(f, ...))
  for i = 2, r.n do r[i] = io.type(r[i]) or tostring(r[i]) end
  print(table.concat(r, "\t", 2, r.n))
end
local name = os.tmpname()
local function say(...) local r = table.pack(...) for i = 1, r.n do r[i] = tostring(r[i]):gsub(name:gsub("%p", "%%%0"), "NAME") end print(table.concat(r, "\t")) end
io.write(3.0, " ", 1e15, " ", 2^53, " ", 0.1, " ", 1e100, " ", -0.0, " ", 1/0, " ", 12, "\n")
t(io.open, "/nonexistent") t(io.open, "/nonexistent", "q") t(io.open, "/nonexistent", "rw") t(io.open, "/nonexistent", "r+b") t(io.open, "/nonexistent", "") t(io.open, "/", "w") t(io.open)
t(io.close) t(io.lines, "/nonexistent") t(io.type, 1) t(io.type) t(io.type, io.stdout) t(io.input, "/nonexistent") t(io.output, "/nonexistent/x") t(io.popen, "true", "q")
local f = io.open(name, "w")
t(f.write, f, "hello\n", 1, 2.5, "\n0x1p4 -7 .5e1 nan 1e+ 99999999999999999999 abc\nlast") t(f.seek, f) t(f.seek, f, "set", 2) t(f.seek, f, "end") t(f.seek, f, "bad") t(f.seek, f, "set", 1.5) t(f.read, f) t(f.flush, f) t(f.setvbuf, f, "full", 1024) t(f.setvbuf, f, "x") t(f.close, f) t(f.close, f) t(f.write, f, 1) print(f, io.type(f)) t(f.lines, f) t(tostring, f) t(getmetatable(f).__gc, f) t(getmetatable(f).__close, f) print(getmetatable(f).__name)
f = io.open(name)
t(f.read, f, "l", "L", "n") t(f.read, f, "n", "n", "n") t(f.read, f, "n") t(f.read, f, "a") t(f.read, f, "a") t(f.read, f, "l") t(f.read, f, 0) t(f.read, f, "n") t(f.seek, f, "set") t(f.read, f, 0, 5, "*l", "*L") t(f.read, f, "x") t(f.read, f, "*x") t(f.read, f, {}) t(f.read, f, 1000) t(f.read, f, 1) t(f.write, f, "x") t(f.seek, f, "set", -1) f:close()
for l in io.lines(name) do print(l) end for a, b in io.lines(name, 1, "l") do print(a, b) end for l in io.lines(name, "L") do io.write(l) end print() for c in io.lines(name, 4) do io.write("[", c, "]") end print()
print(select("#", io.lines(name))) local a, b, c, d = io.lines(name) print(type(a), b, c, io.type(d)) d:close() t(a)
t(f.read, nil) t(f.read, 1) t(f.read) t(io.stdout.close, io.stdout) t(io.read, "x") t(function() return io.stdout:bad() end) t(io.write, {}) t(io.close, 5)
-- appending, updating, seeking between reads and writes
f = io.open(name, "w+") f:write("0123456789") f:seek("set", 3) print(f:read(2)) f:seek("cur", 0) f:write("XY") f:seek("set") print(f:read("a")) f:close()
f = io.open(name, "a+") f:write("end") f:seek("set", 8) print(f:read("a")) f:close() f = io.open(name, "r+") f:write("!!") print(f:seek()) f:seek("cur", 1) print(f:read(3)) f:close()
f = io.open(name, "wb") for i = 1, 10000 do f:write(i, "\n") end f:close() local n, sum = 0, 0 for l in io.lines(name) do n = n + 1 sum = sum + l end print(n, sum) f = io.open(name) sum = 0 while true do local x = f:read("n") if not x then break end sum = sum + x end print(sum, math.type(sum)) f:seek("set", 100) print(#f:read("a")) f:close()
f = io.open(name, "w") f:write(("x"):rep(100000), "\n", ("y"):rep(70000)) f:close() f = io.open(name) print(#f:read(), #f:read(), f:read()) f:close()
f = io.open(name, "w") f:setvbuf("no") f:write("now") local g = io.open(name) print(g:read("a")) f:close() g:close()
f = io.open(name, "w") f:write("1\n2\n\n4") f:close() io.input(name) print(io.read(), io.read("n", "l"), io.read("L"), io.read("a"), io.read("a"), io.read("l")) io.close(io.input()) t(io.read) io.input(name) for l in io.lines() do io.write("<", l, ">") end print() io.input():close()
io.output(name) io.write("to file") io.close() t(io.write, "x") io.output(io.stdout) print(io.open(name):read("a"))
do local f <close> = io.open(name) print(io.type(f)) g = f end print(io.type(g)) t(function() for l in io.lines(name) do error("stop", 0) end end)
f = io.tmpfile() f:write("abc") f:seek("set", 1) print(f:read("a")) f:close()
for _, s in ipairs{"0x10", "-0x1p-2", "1e5", "1e", ".5", ".", "-", "0x", "1.5.5", "  7", "1e+5x", ("1"):rep(250), "nan", "inf", "0x.8", "- 1", "12abc"} do f = io.open(name, "w") f:write(s) f:close() f = io.open(name) print(s:sub(1, 20), f:read("n"), #(f:read("a") or "")) f:close() end
-- processes
local p = io.popen("echo hi; exit 3") t(p.read, p, "a") t(p.close, p) p = io.popen("cat >/dev/null", "w") t(p.write, p, "x") t(p.close, p) p = io.popen("kill -9 $$") t(p.close, p) for l in io.popen("printf 'a\\nb'"):lines() do io.write(l, ";") end print()
t(os.execute) t(os.execute, "exit 3") t(os.execute, "true") t(os.execute, "kill -9 $$")
-- names
print(os.rename(name, name .. ".2"), io.open(name), io.type(io.open(name .. ".2"))) say(os.remove(name .. ".2")) say(os.remove(name)) say(os.rename(name, "x")) t(os.remove) print(#os.tmpname() > 5)
-- time
t(os.getenv, "NO_SUCH_VARIABLE") t(os.getenv) t(os.difftime, 5, 2) t(os.difftime) t(os.setlocale) t(os.setlocale, "C") t(os.setlocale, "xx") t(os.setlocale, "C", "foo") t(os.setlocale, nil, "numeric") print(type(os.clock()), math.type(os.time()), os.time() > 1.6e9)
t(os.date, "!%Y", 0) t(os.date, "%Ez", 0) t(os.date, "%Qabc", 0) t(os.date, "%", 0) t(os.date, "%E", 0) t(os.date, "!%c", 0) t(os.date, "!%Ey %Od", 0) t(os.date, "", 0) t(os.date, "!%x %X %p %%", 0) t(os.date, "*x", 0) t(os.date, "x", 2^60) t(os.date, "x", 1.5) t(os.date, "!%H:%M:%S\0%Y", 3661) t(os.date, "!%A %a %B %b %d %e %F %g %G %h %I %j %m %n %R %r %t %T %u %U %V %w %W %y", 1e9) local d = os.date("!*t", 1234567890) print(d.year, d.month, d.day, d.hour, d.min, d.sec, d.wday, d.yday, d.isdst)
t(os.time, {}) t(os.time, {year = "x"}) t(os.time, {year = 2^40, month = 1, day = 1}) t(os.time, {year = 2020, month = 1, day = 1.5}) t(os.time, 1) t(os.time, {year = 2020, month = "x", day = 1}) t(os.time, {year = 2020, day = 1}) t(os.time, {year = 1e15, month = 1, day = 1}) local x = {year = 2020, month = 14, day = -3, hour = 25} os.time(x) print(x.year, x.month, x.day, x.hour, x.yday, x.wday, x.isdst) print(os.time{year = 2020, month = 1, day = 2, hour = 0} - os.time{year = 2020, month = 1, day = 1, hour = 0}, os.time{year = "2020", month = "1", day = "2"} == os.time{year = 2020, month = 1, day = 2})
t(os.exit, "x")
