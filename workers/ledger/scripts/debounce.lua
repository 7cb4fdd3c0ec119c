-- debounce: decides which of the waiting runs of a lane starts, and when. ARGV: lane, run, time without another run (ms),
-- longest wait (ms), 1 to start the run of the newest event, 0 for that of the oldest.
-- Answers 0 if this run starts now, the ms to wait, or the run that starts in its place.
-- The waiting runs of a lane are one group, and one run of it starts. After that a new group begins.
local lane, run, quiet, longest, newest = ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == '1'
local key, own = Z .. 'debounce:' .. lane, pick(unit_key(run), 'debounced', 'superseded')
if own.debounced then return 0 end
if own.superseded then return own.superseded end
local OPEN = {queued = true, running = true, waiting = true, paused = true}
local group = pick(key, 'run', 'since', 'due')
local start = function()
  redis.call('HSET', unit_key(run), 'debounced', 1)
  redis.call('UNLINK', key)
  return 0
end
local lead = function(since)  -- this run is the one of its group that starts
  local due = math.min(now + quiet, since + longest)
  redis.call('UNLINK', key)
  redis.call('HSET', key, 'run', run, 'since', whole(since), 'due', whole(due))
  redis.call('PEXPIRE', key, whole(longest + 3600000))
  if due <= now then return start() end
  return whole(due - now)
end
if not group.run then return lead(now) end
local due, since = tonumber(group.due) or now, tonumber(group.since) or now
if group.run == run then
  if due <= now then return start() end
  return whole(due - now)
end
if not OPEN[get(unit_key(group.run), 'state') or ''] then return lead(since) end  -- it ended without a start
local is_newer = run > group.run  -- a run's id begins with its event's time
if is_newer == newest then
  redis.call('HSET', unit_key(group.run), 'superseded', run)
  return lead(since)
end
redis.call('HSET', unit_key(run), 'superseded', group.run)
redis.call('HSET', key, 'due', whole(math.min(now + quiet, since + longest)))
return group.run
