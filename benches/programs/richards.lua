-- Richards: the kernel of a small operating system. Six tasks of different
-- priorities pass packets to each other under a scheduler.
-- After Martin Richards' benchmark for systems programming languages.
--
-- size: how often the idle task runs before it ends the simulation
--       (default 10000).

local IDLE = 1
local WORKER = 2
local HANDLER_A = 3
local HANDLER_B = 4
local DEVICE_A = 5
local DEVICE_B = 6

local KIND_DEVICE = 1
local KIND_WORK = 2

local PACKET_LENGTH = 4

-- A packet is a link in at most one queue.

local Packet = {}
Packet.__index = Packet

function Packet.new(link, address, kind)
  local data = {}
  for i = 1, PACKET_LENGTH do
    data[i] = 0
  end
  return setmetatable({ link = link, address = address, kind = kind, position = 1, datum = 0, data = data }, Packet)
end

-- Puts the packet at the end of a queue and returns the queue's new head.
function Packet:append_to(queue)
  self.link = nil
  if not queue then
    return self
  end
  local last = queue
  while last.link do
    last = last.link
  end
  last.link = self
  return queue
end

-- A task control block: the scheduler's view of a task.

local TaskControl = {}
TaskControl.__index = TaskControl

function TaskControl.new(next_task, id, priority, queue, task)
  return setmetatable({
    next_task = next_task,
    id = id,
    priority = priority,
    queue = queue,
    task = task,
    packet_pending = queue ~= nil,
    waiting = true,
    holding = false,
  }, TaskControl)
end

function TaskControl:set_running()
  self.packet_pending = false
  self.waiting = false
  self.holding = false
end

function TaskControl:is_held_or_suspended()
  return self.holding or (self.waiting and not self.packet_pending)
end

-- Runs the task once, with the first packet of its queue if it waited for one.
-- Returns the control block that runs next.
function TaskControl:run()
  local packet = nil
  if self.waiting and self.packet_pending and not self.holding then
    packet = self.queue
    self.queue = packet.link
    self.waiting = false
    self.packet_pending = self.queue ~= nil
  end
  return self.task:run(packet)
end

-- Takes a packet; the more urgent of the two tasks goes on.
function TaskControl:receive(packet, sender)
  if self.queue then
    self.queue = packet:append_to(self.queue)
    return sender
  end
  self.queue = packet
  self.packet_pending = true
  if self.priority > sender.priority then
    return self
  end
  return sender
end

local Scheduler = {}
Scheduler.__index = Scheduler

function Scheduler.new()
  return setmetatable({
    tasks = {},
    first_task = nil,
    current = nil,
    queue_count = 0,
    hold_count = 0,
  }, Scheduler)
end

function Scheduler:add(id, priority, queue, task)
  local control = TaskControl.new(self.first_task, id, priority, queue, task)
  self.first_task = control
  self.tasks[id] = control
  return control
end

function Scheduler:run()
  self.current = self.first_task
  while self.current do
    if self.current:is_held_or_suspended() then
      self.current = self.current.next_task
    else
      self.current = self.current:run()
    end
  end
end

function Scheduler:release(id)
  local control = self.tasks[id]
  control.holding = false
  if control.priority > self.current.priority then
    return control
  end
  return self.current
end

function Scheduler:hold_current()
  self.hold_count = self.hold_count + 1
  self.current.holding = true
  return self.current.next_task
end

function Scheduler:suspend_current()
  self.current.waiting = true
  return self.current
end

function Scheduler:send(packet)
  local receiver = self.tasks[packet.address]
  self.queue_count = self.queue_count + 1
  packet.link = nil
  packet.address = self.current.id
  return receiver:receive(packet, self.current)
end

-- The idle task wakes one of the devices, chosen by a shift register.

local IdleTask = {}
IdleTask.__index = IdleTask

function IdleTask.new(scheduler, count)
  return setmetatable({ scheduler = scheduler, register = 1, count = count }, IdleTask)
end

local function flip_bit(value, bit)
  if value % (2 * bit) >= bit then
    return value - bit
  end
  return value + bit
end

function IdleTask:run()
  self.count = self.count - 1
  if self.count == 0 then
    return self.scheduler:hold_current()
  end
  local register = self.register
  local half = math.floor(register / 2)
  if register % 2 == 0 then
    self.register = half
    return self.scheduler:release(DEVICE_A)
  end
  -- Exclusive or with 0xd008.
  self.register = flip_bit(flip_bit(flip_bit(half, 8), 4096), 16384) + 32768
  return self.scheduler:release(DEVICE_B)
end

-- The worker fills packets and sends them to the two handlers in turn.

local WorkerTask = {}
WorkerTask.__index = WorkerTask

function WorkerTask.new(scheduler)
  return setmetatable({ scheduler = scheduler, handler = HANDLER_A, letter = 0 }, WorkerTask)
end

function WorkerTask:run(packet)
  if not packet then
    return self.scheduler:suspend_current()
  end
  if self.handler == HANDLER_A then
    self.handler = HANDLER_B
  else
    self.handler = HANDLER_A
  end
  packet.address = self.handler
  packet.position = 1
  for i = 1, PACKET_LENGTH do
    self.letter = self.letter + 1
    if self.letter > 26 then
      self.letter = 1
    end
    packet.data[i] = self.letter
  end
  return self.scheduler:send(packet)
end

-- A handler copies the letters of work packets, one at a time, into the
-- packets that its device gives back.

local HandlerTask = {}
HandlerTask.__index = HandlerTask

function HandlerTask.new(scheduler)
  return setmetatable({ scheduler = scheduler, work = nil, devices = nil }, HandlerTask)
end

function HandlerTask:run(packet)
  if packet then
    if packet.kind == KIND_WORK then
      self.work = packet:append_to(self.work)
    else
      self.devices = packet:append_to(self.devices)
    end
  end
  local work = self.work
  if work then
    local position = work.position
    if position > PACKET_LENGTH then
      self.work = work.link
      return self.scheduler:send(work)
    end
    local device = self.devices
    if device then
      self.devices = device.link
      device.datum = work.data[position]
      work.position = position + 1
      return self.scheduler:send(device)
    end
  end
  return self.scheduler:suspend_current()
end

-- A device keeps a packet until the idle task releases it.

local DeviceTask = {}
DeviceTask.__index = DeviceTask

function DeviceTask.new(scheduler)
  return setmetatable({ scheduler = scheduler, pending = nil }, DeviceTask)
end

function DeviceTask:run(packet)
  if packet then
    self.pending = packet
    return self.scheduler:hold_current()
  end
  local pending = self.pending
  if not pending then
    return self.scheduler:suspend_current()
  end
  self.pending = nil
  return self.scheduler:send(pending)
end

local function packets(count, address, kind)
  local queue = nil
  for _ = 1, count do
    queue = Packet.new(queue, address, kind)
  end
  return queue
end

local function run(size)
  local scheduler = Scheduler.new()
  scheduler:add(IDLE, 0, nil, IdleTask.new(scheduler, size)):set_running()
  scheduler:add(WORKER, 1000, packets(2, WORKER, KIND_WORK), WorkerTask.new(scheduler))
  scheduler:add(HANDLER_A, 2000, packets(3, DEVICE_A, KIND_DEVICE), HandlerTask.new(scheduler))
  scheduler:add(HANDLER_B, 3000, packets(3, DEVICE_B, KIND_DEVICE), HandlerTask.new(scheduler))
  scheduler:add(DEVICE_A, 4000, nil, DeviceTask.new(scheduler))
  scheduler:add(DEVICE_B, 5000, nil, DeviceTask.new(scheduler))
  scheduler:run()
  return scheduler.queue_count, scheduler.hold_count
end

local known_queue_counts = { [1000] = 2322, [10000] = 23246 }
local known_hold_counts = { [1000] = 928, [10000] = 9297 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 10000

local expected_queue_count = known_queue_counts[size]
local expected_hold_count = known_hold_counts[size]
for iteration = 1, iterations do
  local start = os.clock()
  local queue_count, hold_count = run(size)
  local elapsed = os.clock() - start
  expected_queue_count = expected_queue_count or queue_count
  expected_hold_count = expected_hold_count or hold_count
  if queue_count ~= expected_queue_count or hold_count ~= expected_hold_count then
    error(string.format("richards: wrong result %d, %d", queue_count, hold_count))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("richards: ok %d", expected_queue_count))
