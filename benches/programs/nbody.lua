-- N-body: the outer planets around the sun, by a symplectic integrator.
-- After the n-body problem of the Computer Language Benchmarks Game.
--
-- size: the number of steps (default 6000).

local PI = 3.141592653589793
local SOLAR_MASS = 4 * PI * PI
local DAYS_PER_YEAR = 365.24
local STEP = 0.01

local Body = {}
Body.__index = Body

function Body.new(x, y, z, vx, vy, vz, mass)
  return setmetatable({
    x = x,
    y = y,
    z = z,
    vx = vx * DAYS_PER_YEAR,
    vy = vy * DAYS_PER_YEAR,
    vz = vz * DAYS_PER_YEAR,
    mass = mass * SOLAR_MASS,
  }, Body)
end

function Body:kinetic_energy()
  return 0.5 * self.mass * (self.vx * self.vx + self.vy * self.vy + self.vz * self.vz)
end

function Body:distance_to(other)
  local dx, dy, dz = self.x - other.x, self.y - other.y, self.z - other.z
  return math.sqrt(dx * dx + dy * dy + dz * dz)
end

function Body:move(step)
  self.x = self.x + step * self.vx
  self.y = self.y + step * self.vy
  self.z = self.z + step * self.vz
end

local function solar_system()
  local sun = Body.new(0, 0, 0, 0, 0, 0, 1)
  local jupiter = Body.new(
    4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01,
    1.66007664274403694e-03, 7.69901118419740425e-03, -6.90460016972063023e-05,
    9.54791938424326609e-04
  )
  local saturn = Body.new(
    8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01,
    -2.76742510726411017e-03, 4.99852801234917238e-03, 2.30417297573763929e-05,
    2.85885980666130812e-04
  )
  local uranus = Body.new(
    1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01,
    2.96460137564761618e-03, 2.37847173959480950e-03, -2.96589568540237556e-05,
    4.36624404335156298e-05
  )
  local neptune = Body.new(
    1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01,
    2.68067772490389322e-03, 1.62824170038242295e-03, -9.51592254519715870e-05,
    5.15138902046611451e-05
  )
  return { sun, jupiter, saturn, uranus, neptune }
end

-- Gives the sun the momentum that makes the sum zero.
local function offset_momentum(bodies)
  local px, py, pz = 0, 0, 0
  for _, body in ipairs(bodies) do
    px = px + body.vx * body.mass
    py = py + body.vy * body.mass
    pz = pz + body.vz * body.mass
  end
  local sun = bodies[1]
  sun.vx, sun.vy, sun.vz = -px / SOLAR_MASS, -py / SOLAR_MASS, -pz / SOLAR_MASS
end

local function energy(bodies)
  local sum = 0
  for i, body in ipairs(bodies) do
    sum = sum + body:kinetic_energy()
    for j = i + 1, #bodies do
      sum = sum - body.mass * bodies[j].mass / body:distance_to(bodies[j])
    end
  end
  return sum
end

local function advance(bodies, step)
  local count = #bodies
  for i = 1, count do
    local body = bodies[i]
    for j = i + 1, count do
      local other = bodies[j]
      local dx, dy, dz = body.x - other.x, body.y - other.y, body.z - other.z
      local squared = dx * dx + dy * dy + dz * dz
      local magnitude = step / (squared * math.sqrt(squared))
      local pull = other.mass * magnitude
      body.vx = body.vx - dx * pull
      body.vy = body.vy - dy * pull
      body.vz = body.vz - dz * pull
      pull = body.mass * magnitude
      other.vx = other.vx + dx * pull
      other.vy = other.vy + dy * pull
      other.vz = other.vz + dz * pull
    end
  end
  for i = 1, count do
    bodies[i]:move(step)
  end
end

local function run(size)
  local bodies = solar_system()
  offset_momentum(bodies)
  local before = string.format("%.9f", energy(bodies))
  if before ~= "-0.169075164" then
    error("nbody: wrong result " .. before .. " for the initial energy")
  end
  for _ = 1, size do
    advance(bodies, STEP)
  end
  return string.format("%.9f", energy(bodies))
end

local known_results = { [1000] = "-0.169087605", [6000] = "-0.169064514" }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 6000

local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error("nbody: wrong result " .. result .. ", expected " .. expected)
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print("nbody: ok " .. expected)
