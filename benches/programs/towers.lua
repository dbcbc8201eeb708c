-- Towers: the towers of Hanoi, with a linked list of disks on each pile. The
-- module is a global table.
--
-- size: the number of disks (default 17).

Towers = { piles = {}, move_count = 0 }

function Towers.push(pile, disk)
  local top = Towers.piles[pile]
  if top and disk.size >= top.size then
    error("towers: wrong result, a disk lies on a smaller one")
  end
  disk.below = top
  Towers.piles[pile] = disk
end

function Towers.pop(pile)
  local top = Towers.piles[pile]
  if not top then
    error("towers: wrong result, no disk to take")
  end
  Towers.piles[pile] = top.below
  top.below = nil
  return top
end

function Towers.move_top(from, to)
  Towers.push(to, Towers.pop(from))
  Towers.move_count = Towers.move_count + 1
end

function Towers.move(count, from, to)
  if count == 1 then
    Towers.move_top(from, to)
    return
  end
  local other = 6 - from - to
  Towers.move(count - 1, from, other)
  Towers.move_top(from, to)
  Towers.move(count - 1, other, to)
end

function Towers.height(pile)
  local height = 0
  local disk = Towers.piles[pile]
  while disk do
    height = height + 1
    disk = disk.below
  end
  return height
end

function Towers.run(size)
  Towers.piles = { false, false, false }
  Towers.move_count = 0
  for disk_size = size, 1, -1 do
    Towers.push(1, { size = disk_size, below = nil })
  end
  Towers.move(size, 1, 3)
  if Towers.height(1) ~= 0 or Towers.height(2) ~= 0 or Towers.height(3) ~= size then
    error("towers: wrong result, the disks did not all arrive")
  end
  return Towers.move_count
end

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 17

local expected = 2 ^ size - 1
for iteration = 1, iterations do
  local start = os.clock()
  local result = Towers.run(size)
  local elapsed = os.clock() - start
  if result ~= expected then
    error(string.format("towers: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("towers: ok %d", expected))
