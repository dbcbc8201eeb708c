-- Queens: in how many ways can n queens stand on a board of n by n so that none
-- attacks another? The board and the functions are globals, as in a script.
--
-- size: the number of queens, from 1 to 12 (default 10).

free_columns = {}
free_rising = {}
free_falling = {}
queen_columns = {}
board_size = 0
solution_count = 0

function is_free(row, column)
  return free_columns[column] and free_rising[row + column] and free_falling[row - column + board_size]
end

function set_free(row, column, value)
  free_columns[column] = value
  free_rising[row + column] = value
  free_falling[row - column + board_size] = value
end

-- Every solution that was counted is looked at again: no two queens in one line.
function check_board()
  for row = 1, board_size do
    for other_row = row + 1, board_size do
      local distance = math.abs(queen_columns[row] - queen_columns[other_row])
      if distance == 0 or distance == other_row - row then
        error("queens: wrong result, two queens attack each other")
      end
    end
  end
end

function place_queen(row)
  if row > board_size then
    check_board()
    solution_count = solution_count + 1
    return
  end
  for column = 1, board_size do
    if is_free(row, column) then
      queen_columns[row] = column
      set_free(row, column, false)
      place_queen(row + 1)
      set_free(row, column, true)
    end
  end
end

function count_solutions(size)
  board_size = size
  solution_count = 0
  for i = 1, size do
    free_columns[i] = true
    queen_columns[i] = 0
  end
  for i = 1, 2 * size do
    free_rising[i] = true
    free_falling[i] = true
  end
  place_queen(1)
  return solution_count
end

known_solutions = { 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 10

for iteration = 1, iterations do
  local start = os.clock()
  local result = count_solutions(size)
  local elapsed = os.clock() - start
  if result ~= known_solutions[size] then
    error(string.format("queens: wrong result %d", result))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("queens: ok %d", known_solutions[size]))
