-- Shared by what ends runs: when the last open run of an event ends, the event ends.
local KEEP = tonumber(ARGV[4])
local DEATHS = 3  -- of a dispatch, or of a run alone in its process, until that is the end

local finish_event = function(id, state, cause)
  local key = event_key(id)
  redis.call('HSET', key, 'state', state, 'cause', cause or '')
  forget(id)
  redis.call('ZREM', Z .. 'open', id)
  if state == 'dead' then
    redis.call('ZADD', Z .. 'dead', now, id)
  else
    redis.call('ZREM', Z .. 'dead', id)
    redis.call('ZADD', Z .. 'final', now + KEEP, id)
  end
  count('events_' .. state)
end

-- Closes the event if none of its runs is open. The runs are the truth; nothing is counted twice.
local settle = function(id)
  local state = get(event_key(id), 'state')
  if state ~= 'dispatched' and state ~= 'dead' then return end
  local seen = {}
  for suffix in string.gmatch(get(event_key(id), 'runs') or '', '%x+') do
    local state = get(Z .. 'run:' .. id .. '-' .. suffix, 'state') or 'dead'
    seen[state] = true
  end
  if seen.queued or seen.running or seen.waiting then return end
  if seen.dead or seen.refused then finish_event(id, 'dead', 'handler')
  elseif seen.discarded then finish_event(id, 'discarded')
  else finish_event(id, 'done') end
end

-- A run that was alone took its process with it: how often that happened by now.
local killed_again = function(run, error)
  local key = unit_key(run)
  local kills = number(key, 'kills') + 1
  redis.call('HSET', key, 'kills', kills, 'suspect', 1, 'error', (kills >= DEATHS and 'quarantined: ' or '') .. error)
  return kills
end
