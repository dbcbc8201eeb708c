-- JSON: parses a document, walks it and writes it again. The document is
-- generated once; what is written must be equal to what was parsed.
--
-- size: the number of records in the document (default 300).

local json = {}

json.null = setmetatable({}, { __tostring = function() return "null" end })

-- Objects remember the order of their members.

local JsonObject = {}
JsonObject.__index = JsonObject

function JsonObject.new()
  return setmetatable({ names = {}, values = {} }, JsonObject)
end

function JsonObject:set(name, value)
  if self.values[name] == nil then
    self.names[#self.names + 1] = name
  end
  self.values[name] = value
end

function JsonObject:get(name)
  return self.values[name]
end

local JsonArray = {}
JsonArray.__index = JsonArray

function JsonArray.new()
  return setmetatable({ items = {}, length = 0 }, JsonArray)
end

function JsonArray:push(value)
  self.length = self.length + 1
  self.items[self.length] = value
end

-- The parser: recursive descent over bytes.

local function byte_set(characters)
  local set = {}
  for i = 1, #characters do
    set[characters:byte(i)] = true
  end
  return set
end

local SPACES = byte_set(" \t\r\n")
local NUMBER_STARTS = byte_set("-0123456789")

local QUOTE = string.byte('"')
local BACKSLASH = string.byte("\\")
local COMMA = string.byte(",")
local COLON = string.byte(":")
local OPEN_BRACE = string.byte("{")
local CLOSE_BRACE = string.byte("}")
local OPEN_BRACKET = string.byte("[")
local CLOSE_BRACKET = string.byte("]")
local LETTER_T = string.byte("t")
local LETTER_F = string.byte("f")
local LETTER_N = string.byte("n")
local LETTER_U = string.byte("u")

local ESCAPES = {
  [string.byte('"')] = '"',
  [string.byte("\\")] = "\\",
  [string.byte("/")] = "/",
  [string.byte("b")] = "\b",
  [string.byte("f")] = "\f",
  [string.byte("n")] = "\n",
  [string.byte("r")] = "\r",
  [string.byte("t")] = "\t",
}

local Parser = {}
Parser.__index = Parser

function Parser.new(text)
  return setmetatable({ text = text, position = 1 }, Parser)
end

function Parser:fail(message)
  error(string.format("json: %s at byte %d", message, self.position), 0)
end

-- Skips white space and returns the byte after it, which is not consumed.
function Parser:peek()
  local text, position = self.text, self.position
  local byte = text:byte(position)
  while SPACES[byte] do
    position = position + 1
    byte = text:byte(position)
  end
  self.position = position
  return byte
end

function Parser:expect(byte)
  if self:peek() ~= byte then
    self:fail("expected '" .. string.char(byte) .. "'")
  end
  self.position = self.position + 1
end

function Parser:word(word, value)
  local last = self.position + #word - 1
  if self.text:sub(self.position, last) ~= word then
    self:fail("expected " .. word)
  end
  self.position = last + 1
  return value
end

function Parser:number()
  local first, last = self.text:find("^-?%d+%.?%d*[eE]?[+-]?%d*", self.position)
  local value = first and tonumber(self.text:sub(first, last))
  if not value then
    self:fail("malformed number")
  end
  self.position = last + 1
  return value
end

local function utf8_encode(code)
  if code < 128 then
    return string.char(code)
  end
  local low = code % 64
  local rest = math.floor(code / 64)
  if code < 2048 then
    return string.char(192 + rest, 128 + low)
  end
  return string.char(224 + math.floor(rest / 64), 128 + rest % 64, 128 + low)
end

function Parser:escape()
  local byte = self.text:byte(self.position)
  self.position = self.position + 1
  if byte == LETTER_U then
    local code = tonumber(self.text:sub(self.position, self.position + 3), 16)
    if not code then
      self:fail("malformed \\u escape")
    end
    self.position = self.position + 4
    return utf8_encode(code)
  end
  return ESCAPES[byte] or self:fail("unknown escape")
end

function Parser:string()
  self:expect(QUOTE)
  local text = self.text
  local pieces = nil
  local start = self.position
  while true do
    local byte = text:byte(self.position)
    if byte == QUOTE then
      local last_piece = text:sub(start, self.position - 1)
      self.position = self.position + 1
      if pieces then
        pieces[#pieces + 1] = last_piece
        return table.concat(pieces)
      end
      return last_piece
    elseif byte == BACKSLASH then
      pieces = pieces or {}
      pieces[#pieces + 1] = text:sub(start, self.position - 1)
      self.position = self.position + 1
      pieces[#pieces + 1] = self:escape()
      start = self.position
    elseif not byte or byte < 32 then
      self:fail("unfinished string")
    else
      self.position = self.position + 1
    end
  end
end

function Parser:object()
  self:expect(OPEN_BRACE)
  local object = JsonObject.new()
  if self:peek() == CLOSE_BRACE then
    self.position = self.position + 1
    return object
  end
  while true do
    if self:peek() ~= QUOTE then
      self:fail("expected a name")
    end
    local name = self:string()
    self:expect(COLON)
    object:set(name, self:value())
    local byte = self:peek()
    self.position = self.position + 1
    if byte == CLOSE_BRACE then
      return object
    elseif byte ~= COMMA then
      self:fail("expected ',' or '}'")
    end
  end
end

function Parser:array()
  self:expect(OPEN_BRACKET)
  local array = JsonArray.new()
  if self:peek() == CLOSE_BRACKET then
    self.position = self.position + 1
    return array
  end
  while true do
    array:push(self:value())
    local byte = self:peek()
    self.position = self.position + 1
    if byte == CLOSE_BRACKET then
      return array
    elseif byte ~= COMMA then
      self:fail("expected ',' or ']'")
    end
  end
end

function Parser:value()
  local byte = self:peek()
  if byte == QUOTE then
    return self:string()
  elseif byte == OPEN_BRACE then
    return self:object()
  elseif byte == OPEN_BRACKET then
    return self:array()
  elseif NUMBER_STARTS[byte] then
    return self:number()
  elseif byte == LETTER_T then
    return self:word("true", true)
  elseif byte == LETTER_F then
    return self:word("false", false)
  elseif byte == LETTER_N then
    return self:word("null", json.null)
  end
  return self:fail("expected a value")
end

function json.parse(text)
  local parser = Parser.new(text)
  local value = parser:value()
  if parser:peek() then
    parser:fail("unexpected text after the value")
  end
  return value
end

-- The writer. It writes no white space.

local Writer = {}
Writer.__index = Writer

function Writer.new()
  return setmetatable({ pieces = {}, count = 0 }, Writer)
end

function Writer:put(piece)
  self.count = self.count + 1
  self.pieces[self.count] = piece
end

local WRITTEN_ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t" }

function Writer:string(value)
  if value:find('["\\\n\t]') then
    value = value:gsub('["\\\n\t]', WRITTEN_ESCAPES)
  end
  self:put('"')
  self:put(value)
  self:put('"')
end

function Writer:object(object)
  self:put("{")
  for i, name in ipairs(object.names) do
    if i > 1 then
      self:put(",")
    end
    self:string(name)
    self:put(":")
    self:value(object.values[name])
  end
  self:put("}")
end

function Writer:array(array)
  self:put("[")
  for i = 1, array.length do
    if i > 1 then
      self:put(",")
    end
    self:value(array.items[i])
  end
  self:put("]")
end

function Writer:value(value)
  local kind = type(value)
  if kind == "string" then
    self:string(value)
  elseif kind == "number" then
    if value == math.floor(value) then
      self:put(string.format("%d", value))
    else
      self:put(string.format("%.14g", value))
    end
  elseif kind == "boolean" then
    self:put(value and "true" or "false")
  elseif getmetatable(value) == JsonObject then
    self:object(value)
  elseif getmetatable(value) == JsonArray then
    self:array(value)
  else
    self:put("null")
  end
end

function json.write(value)
  local writer = Writer.new()
  writer:value(value)
  return table.concat(writer.pieces)
end

-- Numbers of all values of a document, by their kind.

local Census = {}
Census.__index = Census

function Census.new()
  return setmetatable({ objects = 0, arrays = 0, strings = 0, numbers = 0, words = 0, depth = 0 }, Census)
end

function Census:visit(value, depth)
  if depth > self.depth then
    self.depth = depth
  end
  local kind = type(value)
  if kind == "string" then
    self.strings = self.strings + 1
  elseif kind == "number" then
    self.numbers = self.numbers + 1
  elseif kind == "boolean" or value == json.null then
    self.words = self.words + 1
  elseif getmetatable(value) == JsonObject then
    self.objects = self.objects + 1
    for _, name in ipairs(value.names) do
      self:visit(value:get(name), depth + 1)
    end
  else
    self.arrays = self.arrays + 1
    for i = 1, value.length do
      self:visit(value.items[i], depth + 1)
    end
  end
end

-- The generated document.

local random_state = 42

local function random(limit)
  random_state = (random_state * 1309 + 13849) % 65536
  return random_state % limit
end

local FIRST_NAMES = { "Ada", "Grace", "Alan", "Barbara", "Donald", "Edsger", "Frances", "Niklaus" }
local LAST_NAMES = { "Ashdown", "Birch", "Cole", "Drake", "Elmer", "Frost" }
local TAGS = { "new", "vip", "trial", "late\\tpayer", "\\\"quoted\\\"", "plain", "archived" }

local function generate_record(id)
  local tags = {}
  for i = 1, random(4) do
    tags[i] = '"' .. TAGS[random(#TAGS) + 1] .. '"'
  end
  local orders = {}
  for i = 1, 1 + random(3) do
    orders[i] = string.format(
      '{"item":"part-%d","price":%.14g,"amount":%d,"paid":%s}',
      random(1000),
      random(10000) / 8,
      random(12),
      random(2) == 0 and "true" or "false"
    )
  end
  return string.format(
    '{"id":%d,"name":"%s %s","age":%d,"position":[%.14g,%.14g],"note":%s,"tags":[%s],"orders":[%s],"empty":{}}',
    id,
    FIRST_NAMES[random(#FIRST_NAMES) + 1],
    LAST_NAMES[random(#LAST_NAMES) + 1],
    18 + random(60),
    random(3600) / 16 - 112.5,
    random(1800) / 16 - 56.25,
    random(3) == 0 and "null" or '"first line\\nsecond line, \\\\ and so on"',
    table.concat(tags, ","),
    table.concat(orders, ",")
  )
end

local function generate_document(size)
  local records = {}
  for id = 1, size do
    records[id] = generate_record(id)
  end
  return '{"version":3,"records":[' .. table.concat(records, ",") .. '],"complete":true}'
end

-- A small document with everything that the generated one does not have.
local SAMPLE = [[
  { "numbers" : [ 0, -1, 12.5, 1e3, -2.5E-1 ],
    "strings" : [ "", "\u0041\u00e9\u20ac", "\/\b\f\r" ],
    "nested" : { "a" : { "b" : [ [ ], { } , null , true , false ] } } }
]]

local function check_sample()
  local sample = json.parse(SAMPLE)
  local numbers, strings = sample:get("numbers"), sample:get("strings")
  local sum = 0
  for i = 1, numbers.length do
    sum = sum + numbers.items[i]
  end
  local nested = sample:get("nested"):get("a"):get("b")
  if
    sum ~= 1011.25
    or strings.items[1] ~= ""
    or strings.items[2] ~= "A\195\169\226\130\172"
    or strings.items[3] ~= "/\b\f\r"
    or nested.length ~= 5
    or nested.items[3] ~= json.null
  then
    error("json: wrong result for the sample")
  end
  if pcall(json.parse, '{"a":[1,2') or pcall(json.parse, "[1] 2") or pcall(json.parse, '"\\x"') then
    error("json: wrong result, malformed text was accepted")
  end
end

local function run(document)
  check_sample()
  local value = json.parse(document)
  local census = Census.new()
  census:visit(value, 1)
  if json.write(value) ~= document then
    error("json: wrong result, the document changed")
  end
  return census.objects + census.arrays + census.strings + census.numbers + census.words
end

local known_results = { [300] = 6344 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 300

local document = generate_document(size)
local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(document)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error(string.format("json: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("json: ok %d", expected))
