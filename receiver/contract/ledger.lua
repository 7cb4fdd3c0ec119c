-- The ledger's keys, and how units of work move between its indexes. Time is Redis' own, in milliseconds.
--
-- event:<id>   hash    labels, state, cause, duplicates, repeats (the event of the same bytes that came
--                      before under another, unsigned id), runs (suffixes, comma list), hooks (those of
--                      them that were made because another one is a dead letter), and a unit's fields
-- body:<id>    string  the sealed body and headers
-- run:<id>     hash    handler, state, attempts, failures, sealed_error (of the last attempt), next_at, replays, past (the
--                      last attempts, packed), debounced, superseded (by which run), flow (1 where one of lane, hook
--                      and again may be there), lane, holds (whether its dead letter stops the lane), hook (suffix and
--                      handler of the run that its dead letter makes), again (whether such a run is to run once
--                      more), and a unit's fields
-- calls:<run>  hash    what the run has asked of the API: sealed entries by number
-- a unit's fields:     job (the ordinal of the job it is queued under, '' once claimed), queued_at (when it was queued
--                      again), token, deaths, suspect
-- events       zset    every event by the time it was received
-- pending, dispatching, parked   zset   events by ordinal, by end of lease, by the time they are due
-- queued, running, waiting       zset   runs, likewise
-- open, dead   zset    events that are dispatched, or dead letters, by the time they became so
-- paused       zset    runs of paused handlers, by the time they began to wait
-- pauses       hash    paused handlers, and since when
-- slots:<lane>, line:<lane>   set, zset   runs that have one of a lane's places, and those that wait for one; a lane is a
--                      handler, or the handler, a colon, and a keyed digest of what it counts by
-- lane_key     string  the secret by which lanes are named after their keys, sealed
-- newest:<lane>   string   the time or number of the newest event of a lane that is done
-- debounce:<lane>   hash   runs of a lane that wait for quiet: the one that will start, since when, and when
-- rate:<lane>, plans:<lane>   zset   attempts of a lane that started lately, and those that are planned, by that time
-- final        zset    finished events by the time they finished
-- final:<source> zset  likewise, of a source that keeps them for a time of its own
-- keeps        hash    such sources, and for how many ms they keep events, then bodies, of the receiver's configuration
-- blind_index  zset    all with score 0: a keyed digest of a path and its value, a colon, the event
-- wanted       zset    events that a redelivery wants replayed, by the time it came; the sweeper does it
-- junk         zset    keys that hold what we did not write, by the time they were found
-- later        zset    units whose record has a later format than we read, by that format
-- format       string  of the ledger, from its first event on: formats.py. FORMAT is what we write; a record of format 1
--                      does not say so
-- workers, receivers   zset   by their last sign of life
-- refusing     hash    receivers that answer 503, and why
-- causes       zset    why attempts fail, by the time each was last seen; its record is cause:<id>
-- done_at      hash    when a run of each handler was last done
-- recent:<n>   hash    what happened in minute n since 1970, for `status`: by handler, by cause, by source
-- counters     hash    what happened, for the metrics; by handler, too: ledger_metrics.py
-- anchor       string  always there. Every script declares it, and `never`, which no key is called: keys.py
local Z, R, Q = ARGV[1], ARGV[2], ARGV[3]
local LIST = R .. ':queue:' .. Q
local TYPES = {pending = 'zset', dispatching = 'zset', parked = 'zset', queued = 'zset', running = 'zset',
  waiting = 'zset', later = 'zset', open = 'zset', dead = 'zset', final = 'zset', events = 'zset', junk = 'zset',
  wanted = 'zset', counters = 'hash', ordinal = 'string', format = 'string', audit = 'list'}
for name, kind in pairs(MORE_TYPES) do TYPES[name] = kind end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local whole = function(number) return string.format('%.0f', number) end  -- as Redis is to store it
local is_run = function(unit) return #unit > 30 end
local event_key = function(id) return Z .. 'event:' .. id end
local unit_key = function(unit) return Z .. (is_run(unit) and 'run:' or 'event:') .. unit end
local of_events = {queued = 'pending', running = 'dispatching', waiting = 'parked'}
local index = function(unit, state) return is_run(unit) and state or of_events[state] end
local get = function(key, field)
  local value = redis.pcall('HGET', key, field)
  if type(value) == 'table' then return nil end  -- an error reply: not a hash, so not ours
  return value or nil
end
local pick = function(key, ...)  -- these fields by name; none where the key holds no hash, which is none of ours
  local values, record = redis.pcall('HMGET', key, ...), {}
  if not values.err then
    for i, name in ipairs({...}) do record[name] = values[i] or nil end
  end
  return record
end
local fields_of = function(name)  -- of a hash, as a set
  local set = {}
  for _, field in ipairs(redis.call('HKEYS', Z .. name)) do set[field] = true end
  return set
end
local STAMP = FORMAT > 1 and {'format', FORMAT} or {}  -- of each record that we write
local format_of = function(...)  -- the latest one of these records
  local latest = 1
  for _, record in ipairs({...}) do latest = math.max(latest, tonumber(record.format or 1) or 1) end
  return latest
end
local number = function(key, field) return tonumber(get(key, field) or 0) or 0 end

-- What a script does to indexes, counters and RQ's list is gathered, and done by flush() at its end: one command for
-- many units. Records are written at once, so a script reads its own changes there, and only there.
local added, dropped, counted, recent, pushed, ordinal = {}, {}, {}, {}, {}, nil
local add = function(name, score, unit)
  local list = added[name] or {}
  added[name] = list
  list[#list + 1] = score
  list[#list + 1] = unit
end
local drop = function(name, unit)
  local list = dropped[name] or {}
  dropped[name] = list
  list[#list + 1] = unit
end
local count = function(name, by) counted[name] = (counted[name] or 0) + (by or 1) end
local count_recent = function(name) recent[name] = (recent[name] or 0) + 1 end
local in_parts = function(command, key, list)
  for i = 1, #list, 1000 do redis.call(command, key, unpack(list, i, math.min(i + 999, #list))) end
end
local flush = function()
  for name, units in pairs(dropped) do in_parts('ZREM', Z .. name, units) end
  for name, units in pairs(added) do in_parts('ZADD', Z .. name, units) end
  for name, by in pairs(counted) do
    if type(redis.pcall('HINCRBY', Z .. 'counters', name, by)) == 'table' then  -- what stands there is no number
      redis.call('HSET', Z .. 'counters', name, by)
    end
  end
  local minute = Z .. 'recent:' .. math.floor(now / 60000)
  for name, by in pairs(recent) do redis.pcall('HINCRBY', minute, name, by) end
  if next(recent) then redis.call('PEXPIRE', minute, 900000) end
  if ordinal then redis.call('SET', Z .. 'ordinal', whole(ordinal)) end
  in_parts('RPUSH', LIST, pushed)
end

-- Takes a unit out of the indexes of what is open.
local forget = function(unit)
  for _, state in ipairs({'queued', 'running', 'waiting'}) do drop(index(unit, state), unit) end
  if is_run(unit) then
    drop('paused', unit)
    drop('blocked', unit)
  end
  drop('later', unit)
end

-- A key that holds what we did not write: counted and set aside, so that nobody trips over it twice.
local set_aside = function(unit, found_in)
  forget(unit)
  if not is_run(unit) then drop('undispatched', unit) end
  if found_in then drop(found_in, unit) end
  add('junk', now, unit)
  count('junk')
end

-- The last ordinal; where what stands there is none of ours, the time in ms, which is above all that we ever gave.
local last_ordinal = function()
  local found = redis.call('GET', Z .. 'ordinal')
  if not found then  -- the ledger begins
    redis.call('SET', Z .. 'format', FORMAT)
    redis.call('SET', Z .. 'anchor', '')
    return 0
  end
  if string.find(found, '^%d+$') and #found < 15 then return tonumber(found) end
  count('junk')
  return now
end

-- Queues a new unit under a job id of its own, and writes the fields given; a worker claims it only under that id.
-- RQ's job has no hash: its id says all, and our Job class reads nothing else.
local enqueue = function(unit, state, ...)
  ordinal = (ordinal or last_ordinal()) + 1
  local job = whole(ordinal)
  redis.call('HSET', unit_key(unit), 'state', state, 'job', job, ...)
  pushed[#pushed + 1] = job .. '-' .. unit
  add(index(unit, 'queued'), job, unit)
end

-- The same for a unit that was queued or claimed before; its old job claims nothing any more.
local requeue = function(unit, state)
  local old = get(unit_key(unit), 'job')
  if old and old ~= '' then
    redis.call('LREM', LIST .. ':intermediate', 0, old .. '-' .. unit)
    if not is_run(unit) then redis.pcall('ZADD', Z .. 'undispatched', 'NX', old, unit) end  -- it keeps its order
  end
  forget(unit)
  enqueue(unit, state, 'queued_at', whole(now))
end
