-- Bounce: balls in a box that bounce off its walls.
--
-- size: the number of frames (default 2000).

local BALL_COUNT = 100
local WIDTH, HEIGHT = 500, 500

local Random = {}
Random.__index = Random

function Random.new()
  return setmetatable({ seed = 74755 }, Random)
end

function Random:next()
  self.seed = (self.seed * 1309 + 13849) % 65536
  return self.seed
end

local Ball = {}
Ball.__index = Ball

function Ball.new(random)
  return setmetatable({
    x = random:next() % WIDTH,
    y = random:next() % HEIGHT,
    vx = random:next() % 300 - 150,
    vy = random:next() % 300 - 150,
  }, Ball)
end

-- Moves the ball for one frame; true if it met a wall.
function Ball:bounce()
  local bounced = false
  self.x = self.x + self.vx
  self.y = self.y + self.vy
  if self.x > WIDTH then
    self.x = WIDTH
    self.vx = -math.abs(self.vx)
    bounced = true
  end
  if self.x < 0 then
    self.x = 0
    self.vx = math.abs(self.vx)
    bounced = true
  end
  if self.y > HEIGHT then
    self.y = HEIGHT
    self.vy = -math.abs(self.vy)
    bounced = true
  end
  if self.y < 0 then
    self.y = 0
    self.vy = math.abs(self.vy)
    bounced = true
  end
  return bounced
end

local function run(size)
  local random = Random.new()
  local balls = {}
  for i = 1, BALL_COUNT do
    balls[i] = Ball.new(random)
  end
  local bounces = 0
  for _ = 1, size do
    for _, ball in ipairs(balls) do
      if ball:bounce() then
        bounces = bounces + 1
      end
    end
  end
  for _, ball in ipairs(balls) do
    if ball.x < 0 or ball.x > WIDTH or ball.y < 0 or ball.y > HEIGHT then
      error("bounce: wrong result, a ball left the box")
    end
  end
  return bounces
end

local known_results = { [50] = 1331, [2000] = 53213 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 2000

local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error(string.format("bounce: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("bounce: ok %d", expected))
