-- Shared by what ends runs: when the last open run of an event ends, the event ends.
local DEATHS = 3  -- of a dispatch, or of a run alone in its process, until that is the end

local MAX_PAST = 10  -- attempts of a run that are kept

-- Sources that keep finished events for a time of their own have an index of their own for them.
local kept_apart = nil
local list_kept_apart = function()
  kept_apart = kept_apart or fields_of('keeps')
  return kept_apart
end
local final_of = function(id)  -- the index of finished events that the event belongs to
  if not next(list_kept_apart()) then return 'final' end
  local source = get(event_key(id), 'source') or ''
  return kept_apart[source] and 'final:' .. source or 'final'
end
local drop_final = function(id)
  drop('final', id)
  for source in pairs(list_kept_apart()) do drop('final:' .. source, id) end
end

-- The past of a run with one more attempt: when it began, how long it took (ms), where, how it ended, its sealed error.
local extend_past = function(packed, attempt, ms, host, verdict, sealed)
  local ok, past = false, nil
  if packed then ok, past = pcall(cmsgpack.unpack, packed) end
  if not ok or type(past) ~= 'table' then past = {} end
  past[#past + 1] = {attempt, now - ms, ms, host, verdict, sealed}
  while #past > MAX_PAST do table.remove(past, 1) end
  return cmsgpack.pack(past)
end

local ended_in = {accepted = {'pending', 'dispatching', 'parked', 'undispatched'}, dispatched = {'open'}, dead = {'dead'}}
local finish_event = function(id, before, state, cause)
  for _, name in ipairs(ended_in[before] or {}) do drop(name, id) end
  redis.call('HSET', event_key(id), 'state', state, 'finished_at', whole(now))
  if cause then redis.call('HSET', event_key(id), 'cause', cause) end
  if state == 'dead' then add('dead', whole(now), id) else add(final_of(id), whole(now), id) end
  count('events_' .. state)
end

-- Closes the event if none of its runs is open. The runs are the truth; nothing is counted twice.
-- just, its: the run that has just ended, and how, where one has.
local settle = function(id, just, its)
  local event = pick(event_key(id), 'state', 'runs', 'cause', 'hooks')
  local before, none, seen = event.state, event.cause and '', {}
  if before ~= 'dispatched' and before ~= 'dead' then return end
  for suffix in string.gmatch(event.runs or '', '%x+') do
    local run = id .. '-' .. suffix
    if not event.hooks or not string.find(event.hooks, suffix, 1, true) then
      seen[run == just and its or get(Z .. 'run:' .. run, 'state') or 'dead'] = true
    end
  end
  if seen.queued or seen.running or seen.waiting or seen.paused then return end
  if before == 'dead' and (seen.dead or seen.refused) then return end
  if seen.dead or seen.refused then finish_event(id, before, 'dead', 'handler')
  elseif seen.discarded then finish_event(id, before, 'discarded', none)
  else finish_event(id, before, 'done', none) end
end

local run_hook_again = function(run)  -- with a fresh budget, and a fresh journal of calls
  redis.call('HSET', unit_key(run), 'failures', 0)
  redis.call('UNLINK', Z .. 'calls:' .. run)
  redis.call('HDEL', unit_key(run), 'calls')
  requeue(run, 'queued')
end
-- A run has become a dead letter: its router's `on_dead` runs, again where it has run for another one.
local run_hook = function(id, hook)
  local suffix, handler = string.match(hook, '^(%x+) (.+)$')
  local event = pick(event_key(id), 'runs', 'hooks')
  if not suffix or not event.runs then return end  -- none of ours
  local run = id .. '-' .. suffix
  local state = get(unit_key(run), 'state')
  if state == 'queued' then return end  -- it will see this one, too
  if state == 'running' then return redis.call('HSET', unit_key(run), 'again', 1, 'flow', 1) end
  if state then
    if state == 'done' or state == 'dead' or state == 'skipped' then return run_hook_again(run) end
    return requeue(run, 'queued')
  end
  redis.call('HSET', unit_key(run), 'handler', handler, unpack(STAMP))
  redis.call('HSET', event_key(id), 'runs', event.runs .. ',' .. suffix, 'hooks',
    event.hooks and (event.hooks .. ',' .. suffix) or suffix)
  enqueue(run, 'queued')
end

-- A run that was alone took its process with it: how often that happened by now.
local killed_again = function(run, sealed)
  local key = unit_key(run)
  local kills = number(key, 'kills') + 1
  redis.call('HSET', key, 'kills', kills, 'suspect', 1, 'sealed_error', sealed)
  if kills >= DEATHS then redis.call('HSET', key, 'quarantined', 1) end
  return kills
end
