-- sweep: puts back what was lost on the way, wakes what is due, and lets what is final expire.
-- ARGV after keep (ms): most units a pass, age of a lost entry (ms), a lease (ms), 1 if leases may expire now, and what
-- Redis' clock should say by the sweeper's own (ms; 0 where it cannot know).
-- Answers counts: expired leases, due, lost, deleted events; then the time, and 1 if the clock jumped.
local most, age, lease, leases = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == '1'
local expected = tonumber(ARGV[9])
local jumped = expected > 0 and math.abs(now - expected) > lease / 3
local done = {expired = 0, due = 0, lost = 0, deleted = 0}
local sound = function(unit, found_in) -- the record is ours; else it is set aside
  if get(unit_key(unit), 'state') and get(event_key(string.sub(unit, 1, 30)), 'state') then return true end
  set_aside(unit, found_in)
  settle(string.sub(unit, 1, 30))
  return false
end
local state_when_queued = function(unit) return is_run(unit) and 'queued' or 'accepted' end
local few = function(name, upto)
  return redis.call('ZRANGE', Z .. name, '-inf', upto, 'BYSCORE', 'LIMIT', 0, most)
end

-- An index that holds what we did not write would stop every script: it is moved aside.
for _, source in ipairs(redis.call('TYPE', Z .. 'keeps').ok == 'hash' and redis.call('HKEYS', Z .. 'keeps') or {}) do
  TYPES['final:' .. source] = 'zset'
end
for name, wanted in pairs(TYPES) do
  local found = redis.call('TYPE', Z .. name).ok
  if found ~= 'none' and found ~= wanted then redis.call('RENAME', Z .. name, Z .. 'aside:' .. name .. ':' .. now) end
end
for name, list in pairs({list = LIST, intermediate = LIST .. ':intermediate'}) do
  local found = redis.call('TYPE', list).ok
  if found ~= 'none' and found ~= 'list' then redis.call('RENAME', list, Z .. 'aside:' .. name .. ':' .. now) end
end

if redis.call('TYPE', R .. ':queues').ok ~= 'set' and redis.call('EXISTS', R .. ':queues') == 1 then
  redis.call('RENAME', R .. ':queues', Z .. 'aside:queues:' .. now)
end

redis.call('SETNX', Z .. 'format', FORMAT)  -- one that was moved aside, or went with all the rest
redis.call('SETNX', Z .. 'anchor', '')
redis.call('UNLINK', Z .. 'never')

-- Members of an index that name no record of ours count as work, and would fill MAX_PENDING: a sample of each index is
-- looked at, and where it holds many, a large one.
local is_unit = function(member) return (#member == 30 or #member == 43) and string.find(member, '^evt_[%w%-]+$') end
local purge = function(name, sample)
  local foreign = 0
  for _, member in ipairs(redis.call('ZRANDMEMBER', Z .. name, sample)) do
    if #member > 100 then  -- not worth to be kept for anybody to look at
      redis.call('ZREM', Z .. name, member)
      count('junk')
      foreign = foreign + 1
    elseif not is_unit(member) then
      set_aside(member, name)
      foreign = foreign + 1
    elseif not get(unit_key(member), 'state') then
      sound(member, name)
      foreign = foreign + 1
    end
  end
  return foreign
end
for _, name in ipairs({'pending', 'dispatching', 'parked', 'queued', 'running', 'waiting', 'paused', 'blocked', 'later', 'open', 'dead', 'final'}) do
  if purge(name, 20) > 5 then purge(name, 10 * most) end
end

-- An ordinal that is above the last one we gave is none of ours, and its job may not be one that is taken.
for _, name in ipairs({'queued', 'pending'}) do
  local beyond = '(' .. string.format('%.0f', last_ordinal())
  for _, unit in ipairs(redis.call('ZRANGE', Z .. name, beyond, '+inf', 'BYSCORE', 'LIMIT', 0, most)) do
    if sound(unit, name) then requeue(unit, state_when_queued(unit)) end
  end
end

-- A lease that is longer than any we give: the clock went back since.
for _, name in ipairs({'running', 'dispatching'}) do
  local beyond = '(' .. string.format('%.0f', now + 2 * lease)
  for _, unit in ipairs(redis.call('ZRANGE', Z .. name, beyond, '+inf', 'BYSCORE', 'LIMIT', 0, most)) do
    add(name, now + lease, unit)
  end
end

-- What is no job id of ours, nor anybody's, would stop RQ's own worker each time it looks.
for _, list in ipairs({LIST, LIST .. ':intermediate'}) do
  for _, job in ipairs(redis.call('LRANGE', list, 0, 99)) do
    if #job > 200 or string.find(job, '[^%w_%-]') then count('jobs_refused', redis.call('LREM', list, 0, job)) end
  end
end

-- The end of a unit that has died too often, or nothing.
local end_of = function(unit, token, died)
  if not is_run(unit) then return died >= DEATHS and 'dispatch-died' end
  local key = unit_key(unit)
  if get(key, 'alone') ~= token then return false end
  return killed_again(unit, '') >= DEATHS and 'quarantined'
end

-- A lease that ran out: its worker died, or was paused too long. The run is a suspect, and its owner is fenced off.
for _, name in ipairs(leases and not jumped and {'running', 'dispatching'} or {}) do
  for _, unit in ipairs(few(name, now)) do
    local is_claimed = get(unit_key(unit), 'state') == (is_run(unit) and 'running' or 'accepted')
    local is_ours = sound(unit, name)
    if is_ours and not is_claimed then
      drop(name, unit)
    elseif is_ours then
      local key, token = unit_key(unit), get(unit_key(unit), 'token')
      local died = number(key, 'deaths') + 1
      if is_run(unit) then
        redis.call('HSET', key, 'past', extend_past(get(key, 'past'), number(key, 'attempts'), 0, '', 'lost', ''))
      end
      redis.call('HSET', key, 'token', number(key, 'token') + 1, 'deaths', died, 'suspect', 1)
      done.expired = done.expired + 1
      local cause = end_of(unit, token, died)
      if not cause then
        requeue(unit, state_when_queued(unit))
      elseif is_run(unit) then
        forget(unit)
        redis.call('HSET', key, 'state', 'dead', 'next_at', '')
        settle(string.sub(unit, 1, 30))
        local own = pick(key, 'lane', 'holds', 'hook')
        if own.hook then run_hook(string.sub(unit, 1, 30), own.hook) end
        if own.lane then leave_lane(unit, own.lane, 'dead', own.holds) end
      else
        finish_event(unit, 'accepted', 'dead', cause)
      end
    end
  end
end

for _, name in ipairs({'waiting', 'parked'}) do
  for _, unit in ipairs(few(name, now)) do
    if sound(unit, name) then
      requeue(unit, state_when_queued(unit))
      done.due = done.due + 1
    end
  end
end

-- A handler that is not paused any more: `resume` was cut short. A sample of each sweep is enough.
local paused = fields_of('pauses')
for _, unit in ipairs(redis.call('ZRANDMEMBER', Z .. 'paused', 50)) do
  if sound(unit, 'paused') and not paused[get(unit_key(unit), 'handler') or ''] then requeue(unit, 'queued') end
end

-- What waits for its turn is woken by what it waits for; a sample finds what was not. Only what is to be dispatched may
-- hold others up.
for _, event in ipairs(redis.call('ZRANGE', Z .. 'undispatched', 0, 19)) do
  if get(event_key(event), 'state') ~= 'accepted' then redis.call('ZREM', Z .. 'undispatched', event) end
end
open_gate()
for _, run in ipairs(redis.call('ZRANDMEMBER', Z .. 'blocked', 50)) do
  if sound(run, 'blocked') then wake_first(get(unit_key(run), 'lane') or '') end
end
for _, run in ipairs(redis.call('ZRANDMEMBER', Z .. 'stopped', 50)) do
  if not FAILED[get(unit_key(run), 'state') or ''] then drop('stopped', run) end
end

-- What a later release wrote waits for one of its processes: that is us, where the format is not above ours.
for _, unit in ipairs(few('later', FORMAT)) do
  if sound(unit, 'later') then
    local format = format_of(pick(unit_key(unit), 'format'), pick(event_key(string.sub(unit, 1, 30)), 'format'))
    if format > FORMAT then add('later', format, unit) else requeue(unit, state_when_queued(unit)) end
  end
end

-- RQ's list is first in, first out: what was queued before its head, and nobody claimed since we first saw that, is
-- lost. How long ago it was queued proves nothing: it may have been taken a moment ago.
local lost = function(unit)
  local key = unit_key(unit)
  local job, seen = get(key, 'job') or '', get(key, 'missing') or ''
  local since = string.match(seen, '^(%d+) ')
  if since and seen == since .. ' ' .. job then return now - tonumber(since) > age end
  redis.call('HSET', key, 'missing', now .. ' ' .. job)
  return false
end
local head = nil
for _, job in ipairs(redis.call('LRANGE', LIST, 0, 20)) do
  head = head or tonumber(string.match(job, '^(%d+)%-evt_'))
end
local length = redis.call('LLEN', LIST)
if head or length == 0 then
  local before = head and ('(' .. string.format('%.0f', head)) or '+inf'
  for _, name in ipairs({'queued', 'pending'}) do
    for _, unit in ipairs(few(name, before)) do
      if sound(unit, name) and lost(unit) then
        requeue(unit, state_when_queued(unit))
        done.lost = done.lost + 1
      end
    end
  end
end

local expire = function(name, keep)
  for _, id in ipairs(few(name, whole(now - keep))) do
    delete_event(id)
    done.deleted = done.deleted + 1
  end
end
local KEEP = tonumber(ARGV[4])
expire('final', KEEP)
for source in pairs(list_kept_apart()) do
  local events, bodies = string.match(redis.call('HGET', Z .. 'keeps', source) or '', '^(%d*) (%d*)$')
  expire('final:' .. source, tonumber(events or '') or KEEP)
  if tonumber(bodies or '') then drop_bodies('final:' .. source, whole(now - tonumber(bodies)), most) end
end
if done.expired > 0 then count('recovered_lease', done.expired) end
if done.lost > 0 then count('recovered_lost', done.lost) end
flush()
return {done.expired, done.due, done.lost, done.deleted, now, jumped and 1 or 0}
