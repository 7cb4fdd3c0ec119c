-- Lanes of ordered handlers. A lane holds the open runs of one key, in the order in which their events were accepted: by
-- the ordinal of the job under which each event was queued first. A run may start if it is the first of its lane and no
-- earlier event is undispatched, because nobody knows that one's key yet. Other runs of the lane are `blocked`.
local OPEN = {queued = true, running = true, waiting = true, paused = true}
local FAILED = {dead = true, refused = true}
local read_lowest = function(name)
  return tonumber(redis.call('ZRANGE', Z .. name, 0, 0, 'WITHSCORES')[2] or '') or math.huge
end
local watermark = nil
local find_watermark = function()  -- all events with a lower ordinal are dispatched
  watermark = watermark or math.min(read_lowest('pending'), read_lowest('undispatched'))
  return watermark
end

local join_lane = function(run, lane, order)
  local key = Z .. 'lane:' .. lane
  if type(redis.pcall('ZADD', key, 'NX', whole(order), run)) == 'table' then  -- what stands there is none of ours
    redis.call('UNLINK', key)
    redis.call('ZADD', key, whole(order), run)
  end
end
local join_as_last = function(run, lane)  -- with an ordinal of its own
  ordinal = (ordinal or last_ordinal()) + 1
  join_lane(run, lane, ordinal)
  return ordinal
end
-- The first run of a lane, its order, and whether it waits for its turn; what is no open run of ours leaves the lane.
-- open: a run that is one.
local find_first = function(lane, open)
  local key = Z .. 'lane:' .. lane
  while true do
    local first = redis.pcall('ZRANGE', key, 0, 0, 'WITHSCORES')
    if not first[1] or first[1] == open then return first[1] end
    local own = pick(unit_key(first[1]), 'state', 'holds', 'next_at')
    local known = get(event_key(string.sub(first[1], 1, 30)), 'runs') or ''
    local counts = OPEN[own.state] or (FAILED[own.state] and own.holds)
    if counts and string.find(known, string.sub(first[1], 32), 1, true) then
      return first[1], tonumber(first[2]), own.state == 'waiting' and (own.next_at or '') == ''
    end
    redis.call('ZREM', key, first[1])
    drop('stopped', first[1])
  end
end

-- Whether a run of this order may start. One that waits for a dispatch is noted in `gate`.
local is_its_turn = function(run, lane, order)
  if order >= find_watermark() then
    redis.call('ZADD', Z .. 'gate', whole(order), run)
    return false
  end
  return find_first(lane, run) == run
end
local find_order = function(run, lane)  -- of a run in its lane; where it is not in it, it is the last one now
  local order = redis.pcall('ZSCORE', Z .. 'lane:' .. lane, run)
  if type(order) == 'string' then return tonumber(order) end
  return join_as_last(run, lane)
end
-- A run that has begun stays first, whatever joins the lane after it.
local begin_in_lane = function(run, lane) redis.pcall('ZADD', Z .. 'lane:' .. lane, 'XX', 0, run) end
local block = function(run)
  redis.call('HSET', unit_key(run), 'state', 'waiting', 'job', '', 'next_at', '')
  add('blocked', whole(now), run)
end

local wake_first = function(lane)
  local run, order, waits = find_first(lane)
  if not waits then return end
  if order < find_watermark() then requeue(run, 'queued') else redis.call('ZADD', Z .. 'gate', whole(order), run) end
end
-- A run has ended. With `on_dead="stop"` a dead letter stays first in its lane.
local leave_lane = function(run, lane, state, holds)
  if holds and FAILED[state] then return add('stopped', whole(now), run) end
  drop('stopped', run)
  redis.pcall('ZREM', Z .. 'lane:' .. lane, run)
  wake_first(lane)
end
-- Wakes runs whose earlier events are all dispatched by now.
local MAX_WOKEN = 1000  -- at once
local open_gate = function()
  if redis.call('ZCARD', Z .. 'gate') == 0 then return end
  local upto = find_watermark()
  upto = upto == math.huge and '+inf' or ('(' .. whole(upto))
  for _, run in ipairs(redis.call('ZRANGE', Z .. 'gate', '-inf', upto, 'BYSCORE', 'LIMIT', 0, MAX_WOKEN)) do
    redis.call('ZREM', Z .. 'gate', run)
    local lane = get(unit_key(run), 'lane')
    if lane then wake_first(lane) end
  end
end
