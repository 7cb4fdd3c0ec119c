-- The ledger's keys, and how units of work move between its indexes. Time is Redis' own, in milliseconds.
--
-- event:<id>   hash    labels, state, cause, duplicates, runs (suffixes, comma list), open, dead, discarded, and a unit's fields
-- body:<id>    string  the sealed body and headers
-- run:<id>     hash    handler, state, attempts, failures, error, next_at, replays, and a unit's fields
-- a unit's fields:     job (the id it is queued under), queued_at, token, deaths, suspect
-- events       zset    every event by the time it was received
-- pending, dispatching, parked   zset   events by ordinal, by end of lease, by the time they are due
-- queued, running, waiting       zset   runs, likewise
-- open, dead   zset    events that are dispatched, or dead letters, by the time they became so
-- final        zset    finished events by the time they expire
-- junk         zset    keys that hold what we did not write, by the time they were found
-- counters     hash    what happened, for the metrics
local Z, R, Q = ARGV[1], ARGV[2], ARGV[3]
local LIST = R .. ':queue:' .. Q
local TYPES = {pending = 'zset', dispatching = 'zset', parked = 'zset', queued = 'zset', running = 'zset',
  waiting = 'zset', open = 'zset', dead = 'zset', final = 'zset', events = 'zset', junk = 'zset', counters = 'hash',
  ordinal = 'string', audit = 'list'}
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local is_run = function(unit) return #unit > 30 end
local event_key = function(id) return Z .. 'event:' .. id end
local unit_key = function(unit) return Z .. (is_run(unit) and 'run:' or 'event:') .. unit end
local index = function(unit, state)
  if is_run(unit) then return Z .. state end
  return Z .. ({queued = 'pending', running = 'dispatching', waiting = 'parked'})[state]
end
local count = function(name, by) redis.call('HINCRBY', Z .. 'counters', name, by or 1) end
local get = function(key, field)
  local value = redis.pcall('HGET', key, field)
  if type(value) == 'table' then return nil end  -- an error reply: not a hash, so not ours
  return value or nil
end
local number = function(key, field) return tonumber(get(key, field) or 0) or 0 end

-- Takes a unit out of the indexes of what is open.
local forget = function(unit)
  for _, state in ipairs({'queued', 'running', 'waiting'}) do redis.call('ZREM', index(unit, state), unit) end
end

-- A key that holds what we did not write: counted and set aside, so that nobody trips over it twice.
local set_aside = function(unit, found_in)
  forget(unit)
  if found_in then redis.call('ZREM', Z .. found_in, unit) end
  redis.call('ZADD', Z .. 'junk', now, unit)
  count('junk')
end

-- Queues a unit under a new job id; a worker claims it only under that id.
local enqueue = function(unit, state)
  local key = unit_key(unit)
  local old = get(key, 'job')
  if old then
    redis.call('UNLINK', R .. ':job:' .. old)
    redis.call('LREM', LIST .. ':intermediate', 0, old)
  end
  local ordinal = redis.call('INCR', Z .. 'ordinal')
  local job = ordinal .. '-' .. unit
  local name = is_run(unit) and 'workers.jobs.run' or 'workers.jobs.dispatch'
  redis.call('HSET', R .. ':job:' .. job, 'data', '["' .. name .. '", null, ["' .. job .. '"], {}]',
    'origin', Q, 'status', 'queued', 'result_ttl', '0')
  redis.call('RPUSH', LIST, job)
  forget(unit)
  redis.call('HSET', key, 'state', state, 'job', job, 'queued_at', now)
  redis.call('ZADD', index(unit, 'queued'), ordinal, unit)
end
