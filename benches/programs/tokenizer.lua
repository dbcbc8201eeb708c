-- Tokenizer: splits the generated text of a program in a small C-like language
-- into tokens, interns their names, and checks that the tokens put together
-- again are the text.
--
-- size: the number of functions in the text (default 150).

local KEYWORDS = {
  ["break"] = true,
  ["else"] = true,
  ["function"] = true,
  ["if"] = true,
  ["let"] = true,
  ["return"] = true,
  ["while"] = true,
}

-- The longest operators first.
local OPERATORS = {
  { "<<=", ">>=", "..." },
  { "==", "!=", "<=", ">=", "&&", "||", "->", "+=", "-=" },
  { "+", "-", "*", "/", "%", "<", ">", "=", "!", "(", ")", "{", "}", "[", "]", ",", ";", "." },
}

local OPERATORS_BY_LENGTH = {}
for index, group in ipairs(OPERATORS) do
  local set = {}
  for _, operator in ipairs(group) do
    set[operator] = true
  end
  OPERATORS_BY_LENGTH[4 - index] = set
end

-- The class of each byte, by which the tokenizer decides what begins here.

local SPACE = "space"
local NEWLINE = "newline"
local LETTER = "letter"
local DIGIT = "digit"
local QUOTE = "quote"
local HASH = "hash"
local PUNCTUATION = "punctuation"

local BYTE_CLASSES = {}
for byte = 0, 255 do
  local character = string.char(byte)
  if character == "\n" then
    BYTE_CLASSES[byte] = NEWLINE
  elseif character == " " or character == "\t" then
    BYTE_CLASSES[byte] = SPACE
  elseif character:find("^[A-Za-z_]$") then
    BYTE_CLASSES[byte] = LETTER
  elseif character:find("^[0-9]$") then
    BYTE_CLASSES[byte] = DIGIT
  elseif character == '"' then
    BYTE_CLASSES[byte] = QUOTE
  elseif character == "#" then
    BYTE_CLASSES[byte] = HASH
  else
    BYTE_CLASSES[byte] = PUNCTUATION
  end
end

local BACKSLASH = string.byte("\\")
local DOT = string.byte(".")

-- Names that are equal get the same symbol.

local SymbolTable = {}
SymbolTable.__index = SymbolTable

function SymbolTable.new()
  return setmetatable({ by_name = {}, count = 0 }, SymbolTable)
end

function SymbolTable:intern(name)
  local symbol = self.by_name[name]
  if not symbol then
    self.count = self.count + 1
    symbol = { name = name, index = self.count, uses = 0, is_keyword = KEYWORDS[name] or false }
    self.by_name[name] = symbol
  end
  symbol.uses = symbol.uses + 1
  return symbol
end

-- One class of tokens for each kind; all of them can give back their text.

local Token = {}
Token.__index = Token

function Token:text()
  return self.source
end

local NameToken = setmetatable({ kind = "name" }, { __index = Token })
NameToken.__index = NameToken

function NameToken.new(line, symbol)
  return setmetatable({ line = line, symbol = symbol }, NameToken)
end

function NameToken:text()
  return self.symbol.name
end

local NumberToken = setmetatable({ kind = "number" }, { __index = Token })
NumberToken.__index = NumberToken

function NumberToken.new(line, source)
  return setmetatable({ line = line, source = source, value = tonumber(source) }, NumberToken)
end

local StringToken = setmetatable({ kind = "string" }, { __index = Token })
StringToken.__index = StringToken

function StringToken.new(line, source)
  return setmetatable({ line = line, source = source }, StringToken)
end

function StringToken:length()
  return #self.source - 2
end

local OperatorToken = setmetatable({ kind = "operator" }, { __index = Token })
OperatorToken.__index = OperatorToken

function OperatorToken.new(line, source)
  return setmetatable({ line = line, source = source }, OperatorToken)
end

local CommentToken = setmetatable({ kind = "comment" }, { __index = Token })
CommentToken.__index = CommentToken

function CommentToken.new(line, source)
  return setmetatable({ line = line, source = source }, CommentToken)
end

local Tokenizer = {}
Tokenizer.__index = Tokenizer

function Tokenizer.new(text, symbols)
  return setmetatable({ text = text, symbols = symbols, position = 1, line = 1 }, Tokenizer)
end

function Tokenizer:fail(message)
  error(string.format("tokenizer: %s in line %d", message, self.line), 0)
end

function Tokenizer:take(last)
  local source = self.text:sub(self.position, last)
  self.position = last + 1
  return source
end

function Tokenizer:skip_spaces()
  local text, position = self.text, self.position
  while true do
    local class = BYTE_CLASSES[text:byte(position)]
    if class == NEWLINE then
      self.line = self.line + 1
    elseif class ~= SPACE then
      self.position = position
      return class
    end
    position = position + 1
  end
end

function Tokenizer:read_name()
  local text, last = self.text, self.position
  local class
  repeat
    last = last + 1
    class = BYTE_CLASSES[text:byte(last)]
  until class ~= LETTER and class ~= DIGIT
  return NameToken.new(self.line, self.symbols:intern(self:take(last - 1)))
end

function Tokenizer:read_number()
  local text, last = self.text, self.position
  while BYTE_CLASSES[text:byte(last + 1)] == DIGIT do
    last = last + 1
  end
  if text:byte(last + 1) == DOT and BYTE_CLASSES[text:byte(last + 2)] == DIGIT then
    last = last + 2
    while BYTE_CLASSES[text:byte(last + 1)] == DIGIT do
      last = last + 1
    end
  end
  return NumberToken.new(self.line, self:take(last))
end

function Tokenizer:read_string()
  local text, last = self.text, self.position + 1
  while true do
    local byte = text:byte(last)
    local class = BYTE_CLASSES[byte]
    if class == QUOTE then
      return StringToken.new(self.line, self:take(last))
    elseif byte == BACKSLASH then
      last = last + 1
    elseif class == NEWLINE or not class then
      self:fail("unfinished string")
    end
    last = last + 1
  end
end

function Tokenizer:read_comment()
  local newline = self.text:find("\n", self.position, true)
  return CommentToken.new(self.line, self:take((newline or #self.text + 1) - 1))
end

function Tokenizer:read_operator()
  local position = self.position
  for length = 3, 1, -1 do
    local source = self.text:sub(position, position + length - 1)
    if OPERATORS_BY_LENGTH[length][source] then
      return OperatorToken.new(self.line, self:take(position + length - 1))
    end
  end
  return self:fail("unexpected character '" .. self.text:sub(position, position) .. "'")
end

-- The next token, or nil at the end of the text.
function Tokenizer:next()
  local class = self:skip_spaces()
  if class == LETTER then
    return self:read_name()
  elseif class == DIGIT then
    return self:read_number()
  elseif class == QUOTE then
    return self:read_string()
  elseif class == HASH then
    return self:read_comment()
  elseif class == PUNCTUATION then
    return self:read_operator()
  end
  return nil
end

-- The generated text.

local random_state = 42

local function random(limit)
  random_state = (random_state * 1309 + 13849) % 65536
  return random_state % limit
end

local WORDS = { "total", "index", "buffer", "next_item", "x1", "result", "limit", "weight", "node", "_hidden" }
local BINARY_OPERATORS = { "+", "-", "*", "/", "%", "<<=", "<=", "&&", "||", "==", "->" }

local function word()
  return WORDS[random(#WORDS) + 1]
end

local function expression(depth)
  local choice = random(6)
  if depth == 0 or choice == 0 then
    return word()
  elseif choice == 1 then
    return string.format("%d", random(10000))
  elseif choice == 2 then
    return string.format("%d.%03d", random(100), random(1000))
  elseif choice == 3 then
    return string.format("%s(%s, %s)", word(), expression(depth - 1), expression(depth - 1))
  end
  local operator = BINARY_OPERATORS[random(#BINARY_OPERATORS) + 1]
  return expression(depth - 1) .. " " .. operator .. " " .. expression(depth - 1)
end

local function generate_function(index)
  local lines = { string.format("# Function number %d of the program.", index) }
  lines[#lines + 1] = string.format("function task_%d(%s, %s) {", index, word(), word())
  for _ = 1, 3 + random(5) do
    local choice = random(4)
    if choice == 0 then
      lines[#lines + 1] = string.format("\twhile (%s) { %s += %s; }", expression(2), word(), expression(1))
    elseif choice == 1 then
      lines[#lines + 1] = string.format('  print("value \\"%s\\" is", %s);  # a \\ note', word(), expression(2))
    elseif choice == 2 then
      lines[#lines + 1] = string.format("  if (!%s) { break; } else { %s[%s] = 1; }", word(), word(), expression(1))
    else
      lines[#lines + 1] = string.format("  let %s_%d = %s;", word(), random(50), expression(3))
    end
  end
  lines[#lines + 1] = "  return " .. expression(2) .. ";"
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n")
end

local function generate_text(size)
  local functions = {}
  for index = 1, size do
    functions[index] = generate_function(index)
  end
  return table.concat(functions, "\n\n") .. "\n"
end

local function without_spaces(text)
  return (text:gsub("[ \t\n]+", ""))
end

local function run(text, compact_text)
  local symbols = SymbolTable.new()
  local tokenizer = Tokenizer.new(text, symbols)
  local counts = { name = 0, number = 0, string = 0, operator = 0, comment = 0 }
  local pieces = {}
  local keyword_count, sum, string_length = 0, 0, 0
  local token = tokenizer:next()
  while token do
    counts[token.kind] = counts[token.kind] + 1
    pieces[#pieces + 1] = token:text()
    if token.kind == "number" then
      sum = (sum + token.value * 1000) % 1000000
    elseif token.kind == "string" then
      string_length = string_length + token:length()
    elseif token.kind == "name" and token.symbol.is_keyword then
      keyword_count = keyword_count + 1
    end
    token = tokenizer:next()
  end
  if without_spaces(table.concat(pieces)) ~= compact_text then
    error("tokenizer: wrong result, the tokens are not the text")
  end
  local checksum = counts.name
  for _, part in ipairs({ counts.number, counts.string, counts.operator, counts.comment }) do
    checksum = checksum * 7 + part
  end
  for _, part in ipairs({ keyword_count, string_length, symbols.count, tokenizer.line, math.floor(sum + 0.5) }) do
    checksum = (checksum * 31 + part) % 1000003
  end
  return checksum
end

local known_results = { [150] = 282648 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 150

local text = generate_text(size)
local compact_text = without_spaces(text)
local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(text, compact_text)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error(string.format("tokenizer: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("tokenizer: ok %d", expected))
