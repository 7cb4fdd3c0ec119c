-- finish: running -> done, waiting, dead, refused or skipped; or handed back, which costs nothing.
-- ARGV after keep (ms): longest wait for a missing handler (ms), longest time of RetryLater (ms), a packed list of
-- `Ended` (transitions.py), and the worker's host. Answers the verdict of each, or lost.
-- verdicts: done, failed (costs an attempt, waits), later, missing, busy, handed and skipped (cost none), dead, refused,
-- and died: its process died while it ran alone; the third time it is quarantined.
-- A dispatch can only be handed back, or have died; its other ends are dispatch.lua's.
local end_dispatch = function(one, token)
  local id, key = one.unit, event_key(one.unit)
  if get(key, 'token') ~= token or not redis.call('ZSCORE', Z .. 'dispatching', id) then
    count('overlaps')
    return 'lost'
  end
  if one.verdict == 'died' then
    local deaths = number(key, 'deaths') + 1
    redis.call('HSET', key, 'deaths', deaths, 'suspect', 1, 'sealed_error', one.error)
    if deaths >= DEATHS then
      finish_event(id, 'accepted', 'dead', 'dispatch-died')
      return 'dead'
    end
  end
  requeue(id, 'accepted')
  return one.verdict
end
local costs_nothing = {missing = true, handed = true, busy = true, skipped = true}
local ends = {done = true, dead = true, refused = true, skipped = true}
local since = function(key, field, before)  -- when that began: now, unless it goes on
  if not before then redis.call('HSET', key, field, now) end
  return tonumber(before or now) or now
end
local missing_patience, later_patience, host = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[8]

-- Why attempts fail: one record for each kind of failure, so that `status` tells causes and not counts.
local MAX_CAUSES = 200
local CAUSE_TTL_MS = 7 * 86400000
local note_cause = function(one, run, due)
  local id = one.cause.id
  if redis.call('EXISTS', Z .. 'cause:' .. id) == 0 and redis.call('ZCARD', Z .. 'causes') >= MAX_CAUSES then
    id = one.cause.coarse  -- of the same error, whatever its words
    if redis.call('EXISTS', Z .. 'cause:' .. id) == 0 then
      local oldest = redis.call('ZRANGE', Z .. 'causes', 0, 0)[1]
      redis.call('ZREM', Z .. 'causes', oldest)
      redis.call('UNLINK', Z .. 'cause:' .. oldest)
    end
  end
  local key = Z .. 'cause:' .. id
  local before = pick(key, 'count', 'first', 'next_at')
  local next_at = tonumber(before.next_at or 0) or 0
  if due > now and (next_at <= now or due < next_at) then next_at = due end
  redis.call('HSET', key, 'handler', one.cause.handler, 'kind', one.cause.kind, 'place', one.cause.place,
    'count', (tonumber(before.count or 0) or 0) + 1, 'first', before.first or whole(now), 'next_at', whole(next_at), 'run', run)
  redis.call('PEXPIRE', key, CAUSE_TTL_MS)
  redis.call('ZADD', Z .. 'causes', whole(now), id)
  redis.call('ZREMRANGEBYSCORE', Z .. 'causes', '-inf', whole(now - CAUSE_TTL_MS))
  count_recent('cause:' .. id)
end
-- A run without a place waits in line. A run that gives its place back wakes the one of the oldest event. A run that is
-- queued again keeps its place. A run in line is also due by itself after a while: a quarantine gives no place back.
local stand_in_line = function(one, run)  -- false where a place has become free meanwhile
  local taken = redis.pcall('SCARD', Z .. 'slots:' .. one.slot)
  if type(taken) == 'number' and taken < one.places then return false end
  redis.pcall('ZADD', Z .. 'line:' .. one.slot, 0, run)  -- sorts by the run's id, which begins with its event's time
  return true
end
local give_place = function(slot, run)
  redis.pcall('SREM', Z .. 'slots:' .. slot, run)
  repeat
    local first = redis.pcall('ZPOPMIN', Z .. 'line:' .. slot)[1]
    local is_waiting = first and get(unit_key(first), 'state') == 'waiting'
    if is_waiting then requeue(first, 'queued') end
  until is_waiting or not first
end
local NEWEST_TTL_MS = 30 * 86400000
local note_newest = function(one)  -- the newest event of a lane that is done
  local key = Z .. 'newest:' .. one.slot
  local before = redis.pcall('GET', key)
  if type(before) ~= 'string' or (tonumber(before) or -math.huge) < one.age then before = string.format('%.17g', one.age) end
  redis.call('SET', key, before, 'PX', NEWEST_TTL_MS)
end
local end_flow = function(id, run, verdict)  -- of a run with a lane or a hook, or that is one
  local own = pick(unit_key(run), 'lane', 'holds', 'hook', 'again')
  if own.hook and FAILED[verdict] then run_hook(id, own.hook) end
  if own.again then
    redis.call('HDEL', unit_key(run), 'again')
    run_hook_again(run)
  end
  if own.lane then leave_lane(run, own.lane, verdict, own.holds) end
end
local handlers_done = {}  -- handlers one of whose runs is done now
local finish = function(one)
  local run, token, verdict, error = one.unit, whole(one.token), one.verdict, one.error
  if not is_run(run) then return end_dispatch(one, token) end
  local key, id = unit_key(run), string.sub(run, 1, 30)
  local own = pick(key, 'token', 'state', 'attempts', 'failures', 'sealed_error', 'missing_since', 'later_since', 'suspect',
    'next_at', 'handler', 'past', 'flow')
  if own.token ~= token or own.state ~= 'running' then
    count('overlaps')
    return 'lost'
  end
  local missing, later, change = own.missing_since, own.later_since, {}
  if verdict ~= 'died' and (error ~= '' or own.sealed_error) then change = {'sealed_error', error} end
  if verdict == 'failed' then
    change[#change + 1] = 'failures'
    change[#change + 1] = (tonumber(own.failures or 0) or 0) + 1
  elseif costs_nothing[verdict] then
    change[#change + 1] = 'attempts'
    change[#change + 1] = (tonumber(own.attempts or 0) or 0) - 1
  end
  if verdict == 'missing' then
    if now - since(key, 'missing_since', missing) > missing_patience then verdict = 'dead' end
  elseif missing and verdict ~= 'handed' then
    redis.call('HDEL', key, 'missing_since')
  end
  if verdict == 'later' then
    if now - since(key, 'later_since', later) > later_patience then verdict = 'dead' end
  end
  if later and (verdict == 'done' or verdict == 'dead') then redis.call('HDEL', key, 'later_since') end
  if verdict == 'died' and killed_again(run, error) >= DEATHS then verdict = 'dead' end
  count('attempts_' .. verdict)
  if own.handler then
    count('handler:' .. verdict .. ':' .. own.handler)
    count_recent(verdict .. ':' .. own.handler)
    if verdict == 'done' then handlers_done[own.handler] = true end
  end
  if not costs_nothing[verdict] then
    change[#change + 1] = 'past'
    change[#change + 1] = extend_past(own.past, tonumber(own.attempts or 0), one.ms, host, verdict, error)
  end
  if one.cause then note_cause(one, run, verdict == 'failed' and now + math.floor(one.delay * 1000) or 0) end
  for name, by in pairs(one.tallies) do count(name, by) end
  local comes_back = verdict == 'handed' or verdict == 'died'
  if one.slot and verdict ~= 'busy' and not comes_back then give_place(one.slot, run) end
  if one.age and verdict == 'done' then note_newest(one) end
  local is_free = verdict == 'busy' and one.slot and not stand_in_line(one, run)
  if comes_back or is_free then
    if #change > 0 then redis.call('HSET', key, unpack(change)) end
    requeue(run, 'queued')
    return verdict
  end
  drop('running', run)
  if ends[verdict] then
    if own.suspect or own.next_at then redis.call('HDEL', key, 'suspect', 'next_at') end
    redis.call('HSET', key, 'state', verdict, unpack(change))
    settle(id, run, verdict)
    if own.flow then end_flow(id, run, verdict) end
  else
    local due = whole(now + math.floor(one.delay * 1000))
    redis.call('HSET', key, 'state', 'waiting', 'next_at', due, unpack(change))
    add('waiting', due, run)
  end
  return verdict
end
local answers = {}
for _, one in ipairs(cmsgpack.unpack(ARGV[7])) do answers[#answers + 1] = finish(one) end
for handler in pairs(handlers_done) do redis.call('HSET', Z .. 'done_at', handler, whole(now)) end
flush()
return answers
