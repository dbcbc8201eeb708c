-- Runs programs that come on standard input, one after the other: a line with the length, then the text. Answers with a line that has the
-- length of what was printed and how the program ended, then both.
local read, write, flush = io.read, io.write, io.flush
io.stdout:setvbuf("full")
while true do
  local length = read("n", "l")
  if not length then break end
  local text = read(length)
  local output = {}
  local environment = {}
  for name, value in pairs(_G) do environment[name] = value end
  environment._G = environment
  function environment.print(...)
    local line = {...}
    for i = 1, select("#", ...) do line[i] = tostring(line[i]) end
    output[#output + 1] = table.concat(line, "\t")
    output[#output + 1] = "\n"
  end
  local chunk, message = load(text, "=program", "t", environment)
  local ending
  if not chunk then
    ending = "invalid"
  else
    local ok, error = pcall(chunk)
    if ok then ending = "returned"
    elseif type(error) == "string" then ending = "failed:" .. error
    else ending = "failed:(error object is a " .. type(error) .. " value)" end
  end
  local printed = table.concat(output)
  write(#printed, " ", #ending, "\n", printed, ending)
  flush()
end
