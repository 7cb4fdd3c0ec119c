-- debounce: whether a run may start now that its lane is quiet. ARGV: lane, run, how long it must be quiet (ms), the longest
-- wait of all (ms), and 1 if the newest event counts, 0 if the oldest one does.
-- Answers 0 if it may, the ms to wait, or the run that starts in its place.
-- Runs of a lane that wait are one group, of which one run starts. A run that has started is in no group any more.
local lane, run, quiet, longest, newest = ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == '1'
local key, own = Z .. 'debounce:' .. lane, pick(unit_key(run), 'debounced', 'superseded')
if own.debounced then return 0 end
if own.superseded then return own.superseded end
local group = pick(key, 'run', 'since', 'due')
local start = function()
  redis.call('HSET', unit_key(run), 'debounced', 1)
  redis.call('UNLINK', key)
  return 0
end
local lead = function(since)  -- the group waits for this run now
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
if not get(unit_key(group.run), 'state') then return lead(since) end  -- it is gone
local is_newer = run > group.run  -- a run's id begins with its event's time
if is_newer == newest then
  redis.call('HSET', unit_key(group.run), 'superseded', run)
  return lead(since)
end
redis.call('HSET', unit_key(run), 'superseded', group.run)
redis.call('HSET', key, 'due', whole(math.min(now + quiet, since + longest)))
return group.run
