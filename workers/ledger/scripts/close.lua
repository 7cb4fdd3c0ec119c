-- Shared by what ends runs: when the last open run of an event ends, the event ends.
local EXPIRES = whole(now + tonumber(ARGV[4]))
local DEATHS = 3  -- of a dispatch, or of a run alone in its process, until that is the end

local ended_in = {accepted = {'pending', 'dispatching', 'parked'}, dispatched = {'open'}, dead = {'dead'}}
local finish_event = function(id, before, state, cause)
  for _, name in ipairs(ended_in[before] or {}) do drop(name, id) end
  if cause then redis.call('HSET', event_key(id), 'state', state, 'cause', cause)
  else redis.call('HSET', event_key(id), 'state', state) end
  if state == 'dead' then add('dead', whole(now), id) else add('final', EXPIRES, id) end
  count('events_' .. state)
end

-- Closes the event if none of its runs is open. The runs are the truth; nothing is counted twice.
-- just, its: the run that has just ended, and how, where one has.
local settle = function(id, just, its)
  local event = pick(event_key(id), 'state', 'runs', 'cause')
  local before, none, seen = event.state, event.cause and '', {}
  if before ~= 'dispatched' and before ~= 'dead' then return end
  for suffix in string.gmatch(event.runs or '', '%x+') do
    local run = id .. '-' .. suffix
    seen[run == just and its or get(Z .. 'run:' .. run, 'state') or 'dead'] = true
  end
  if seen.queued or seen.running or seen.waiting then return end
  if seen.dead or seen.refused then finish_event(id, before, 'dead', 'handler')
  elseif seen.discarded then finish_event(id, before, 'discarded', none)
  else finish_event(id, before, 'done', none) end
end

-- A run that was alone took its process with it: how often that happened by now.
local killed_again = function(run, error)
  local key = unit_key(run)
  local kills = number(key, 'kills') + 1
  redis.call('HSET', key, 'kills', kills, 'suspect', 1, 'error', (kills >= DEATHS and 'quarantined: ' or '') .. error)
  return kills
end
