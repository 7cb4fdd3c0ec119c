-- take: claims the units behind popped jobs, and of as many more jobs as there is room for.
-- ARGV after keep (ms): lease (ms), how many more, then job ids that BLMOVE put into the intermediate list.
-- Answers a list a job: what became of it, and for a claimed unit all that its attempt needs.
local lease, more = tonumber(ARGV[5]), tonumber(ARGV[6])
local jobs = {unpack(ARGV, 7)}
if more > 0 then
  for _, job in ipairs(redis.call('LPOP', LIST, more) or {}) do jobs[#jobs + 1] = job end
end

local claim = function(job)
  redis.call('LREM', LIST .. ':intermediate', 0, job)
  redis.call('UNLINK', R .. ':job:' .. job)
  local unit = string.match(job, '^%d+%-(evt_%w+)$') or string.match(job, '^%d+%-(evt_%w+%-%x+)$')
  if not unit or (#unit ~= 30 and #unit ~= 43) then
    count('jobs_refused')
    return {'refused', job}
  end
  local key, id = unit_key(unit), string.sub(unit, 1, 30)
  if redis.call('TYPE', key).ok == 'none' then
    count('jobs_stale')
    return {'stale', job}
  end
  local state = get(key, 'state')
  local known = get(event_key(id), 'state') and (not is_run(unit)
    or string.find(get(event_key(id), 'runs') or '', string.sub(unit, 32), 1, true))
  if not state or not known then  -- not a hash, or a run that its event does not know
    set_aside(unit)
    settle(id)
    return {'junk', job}
  end
  if get(key, 'job') ~= job or (state ~= 'queued' and state ~= 'accepted') then
    count('jobs_stale')
    return {'stale', job}
  end
  local token = number(key, 'token') + 1
  redis.call('HSET', key, 'token', token)
  redis.call('HDEL', key, 'job')  -- spent: a second entry of the same job claims nothing
  forget(unit)
  redis.call('ZADD', index(unit, 'running'), now + lease, unit)
  if is_run(unit) then
    redis.call('HSET', key, 'state', 'running', 'attempts', number(key, 'attempts') + 1)
  end
  local body = redis.pcall('GET', Z .. 'body:' .. id)
  if type(body) ~= 'string' then body = '' end
  return {'claimed', job, unit, token, body, redis.call('HGETALL', event_key(id)),
    is_run(unit) and redis.call('HGETALL', key) or {}}
end

local answers = {}
for i, job in ipairs(jobs) do answers[i] = claim(job) end
return answers
