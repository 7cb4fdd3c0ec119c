-- finish: running -> done, waiting, dead or refused; or handed back, which costs nothing.
-- ARGV after keep (ms): 6 values an outcome: run, token, verdict, delay (ms), error, longest wait for a handler (ms).
-- verdicts: done, failed (costs an attempt, waits), later, missing, busy and handed (cost none), dead, refused,
-- and died: its process died while it ran alone; the third time it is quarantined.
-- A dispatch can only be handed back; its other ends are dispatch.lua's.
local hand_back = function(id, token)
  if get(event_key(id), 'token') ~= token or not redis.call('ZSCORE', Z .. 'dispatching', id) then
    count('overlaps')
    return 'lost'
  end
  requeue(id, 'accepted')
  return 'handed'
end
local costs_nothing = {missing = true, handed = true, busy = true}
local since = function(key, field, before)  -- when that began: now, unless it goes on
  if not before then redis.call('HSET', key, field, now) end
  return tonumber(before or now) or now
end
local outcome = function(run, token, verdict, delay, error, patience)
  if not is_run(run) then return hand_back(run, token) end
  local key, id = unit_key(run), string.sub(run, 1, 30)
  local own = redis.pcall('HMGET', key, 'token', 'state', 'attempts', 'failures', 'error', 'missing_since',
    'later_since', 'suspect', 'next_at')
  if own[1] ~= token or own[2] ~= 'running' then
    count('overlaps')
    return 'lost'
  end
  local missing, later, change = own[6], own[7], {}
  if verdict ~= 'died' and (error ~= '' or own[5]) then change = {'error', error} end
  if verdict == 'failed' then
    change[#change + 1] = 'failures'
    change[#change + 1] = (tonumber(own[4] or 0) or 0) + 1
  elseif costs_nothing[verdict] then
    change[#change + 1] = 'attempts'
    change[#change + 1] = (tonumber(own[3] or 0) or 0) - 1
  end
  if verdict == 'missing' then
    if now - since(key, 'missing_since', missing) > patience then verdict = 'dead' end
  elseif missing and verdict ~= 'handed' then
    redis.call('HDEL', key, 'missing_since')
  end
  if verdict == 'later' then
    if now - since(key, 'later_since', later) > patience then verdict = 'dead' end
  end
  if later and (verdict == 'done' or verdict == 'dead') then redis.call('HDEL', key, 'later_since') end
  if verdict == 'died' and killed_again(run, error) >= DEATHS then verdict = 'dead' end
  count('attempts_' .. verdict)
  if verdict == 'handed' or verdict == 'died' then
    if #change > 0 then redis.call('HSET', key, unpack(change)) end
    requeue(run, 'queued')
    return verdict
  end
  drop('running', run)
  if verdict == 'done' or verdict == 'dead' or verdict == 'refused' then
    if own[8] or own[9] then redis.call('HDEL', key, 'suspect', 'next_at') end
    redis.call('HSET', key, 'state', verdict, unpack(change))
    settle(id, run, verdict)
  else
    redis.call('HSET', key, 'state', 'waiting', 'next_at', whole(now + delay), unpack(change))
    add('waiting', whole(now + delay), run)
  end
  return verdict
end
local answers = {}
for i = 5, #ARGV, 6 do
  answers[#answers + 1] = outcome(ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4],
    tonumber(ARGV[i + 5]))
end
flush()
return answers
