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
  enqueue(id, 'accepted')
  return 'handed'
end
local outcome = function(run, token, verdict, delay, error, patience)
  if not is_run(run) then return hand_back(run, token) end
  local key, id = unit_key(run), string.sub(run, 1, 30)
  if get(key, 'token') ~= token or get(key, 'state') ~= 'running' then
    count('overlaps')
    return 'lost'
  end
  local before = number(key, 'attempts')
  redis.call('HSET', key, 'error', error)
  if verdict == 'failed' then
    redis.call('HSET', key, 'failures', number(key, 'failures') + 1)
  elseif verdict == 'missing' or verdict == 'handed' or verdict == 'busy' then
    redis.call('HSET', key, 'attempts', before - 1)
  end
  if verdict == 'missing' then
    local since = number(key, 'missing_since')
    if since == 0 then redis.call('HSET', key, 'missing_since', now)
    elseif now - since > patience then verdict = 'dead' end
  elseif verdict ~= 'handed' then
    redis.call('HDEL', key, 'missing_since')
  end
  if verdict == 'later' then
    if number(key, 'later_since') == 0 then redis.call('HSET', key, 'later_since', now) end
    if now - number(key, 'later_since') > patience then verdict = 'dead' end
  elseif verdict == 'done' or verdict == 'dead' then
    redis.call('HDEL', key, 'later_since')
  end
  if verdict == 'died' and killed_again(run, error) >= DEATHS then verdict = 'dead' end
  count('attempts_' .. verdict)
  if verdict == 'handed' or verdict == 'died' then
    enqueue(run, 'queued')
    return verdict
  end
  forget(run)
  if verdict == 'done' or verdict == 'dead' or verdict == 'refused' then
    redis.call('HSET', key, 'state', verdict, 'next_at', '')
    redis.call('HDEL', key, 'suspect')
    settle(id)
  else
    redis.call('HSET', key, 'state', 'waiting', 'next_at', now + delay)
    redis.call('ZADD', Z .. 'waiting', now + delay, run)
  end
  return verdict
end
local answers = {}
for i = 5, #ARGV, 6 do
  answers[#answers + 1] = outcome(ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4],
    tonumber(ARGV[i + 5]))
end
return answers
