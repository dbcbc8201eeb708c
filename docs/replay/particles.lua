-- Particles are read from texts, batch by batch, and moved.

local function read(text)
  local particle = {}
  for name, value in text:gmatch("(%a+)=(%-?[%d.]+)") do
    particle[name] = tonumber(value)
  end
  return particle
end

local function step(particle)
  particle.x = particle.x + particle.dx
  particle.y = particle.y + particle.dy
end

-- Each source writes the fields in an order of its own.
local sources = {
  "x=%d y=%d dx=1 dy=0.5", "y=%d x=%d dx=1 dy=0.5", "dx=1 dy=0.5 x=%d y=%d",
  "dy=0.5 dx=1 y=%d x=%d", "x=%d dx=1 y=%d dy=0.5", "dx=1 x=%d dy=0.5 y=%d",
}

local sum = 0
for _, source in ipairs(sources) do
  local particles = {}
  for i = 1, 100 do
    particles[i] = read(source:format(i, i))
  end
  for _ = 1, 300 do
    for i = 1, #particles do
      step(particles[i])
    end
  end
  for i = 1, #particles do
    sum = sum + particles[i].x
  end
end
print(sum)
