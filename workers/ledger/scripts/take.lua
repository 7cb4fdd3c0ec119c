-- take: claims the units behind popped jobs, and of as many more jobs as there is room for.
-- ARGV after keep (ms): lease (ms), how many more, then job ids that BLMOVE put into the intermediate list.
-- Answers a list for each unit that is ours now: see claim.lua.
local lease, more = tonumber(ARGV[5]), tonumber(ARGV[6])
local jobs = {unpack(ARGV, 7)}
for _, job in ipairs(jobs) do redis.call('LREM', LIST .. ':intermediate', 0, job) end
if more > 0 then
  for _, job in ipairs(redis.call('LPOP', LIST, more) or {}) do jobs[#jobs + 1] = job end
end

local answers = {}
local ends = whole(now + lease)
local claim = function(job)
  local ordinal, unit = string.match(job, '^(%d+)%-(evt_[%w%-]+)$')
  if not unit or (#unit ~= 30 and #unit ~= 43) then return count('jobs_refused') end
  local key, id, run = unit_key(unit), string.sub(unit, 1, 30), is_run(unit)
  local event = event_fields(id)
  local own = run and run_fields(unit) or event
  if not own[1] and redis.call('TYPE', key).ok == 'none' then return count('jobs_stale') end
  local known = event[1] and (not run or string.find(event[12] or '', string.sub(unit, 32), 1, true))
  if not own[1] or not known then  -- not a hash, or a run that its event does not know
    set_aside(unit)
    return settle(id)
  end
  if own[2] ~= ordinal or own[1] ~= (run and 'queued' or 'accepted') then return count('jobs_stale') end
  local token = (tonumber(own[3] or 0) or 0) + 1
  if run then
    own[7] = (tonumber(own[7] or 0) or 0) + 1
    redis.call('HSET', key, 'token', whole(token), 'job', '', 'state', 'running', 'attempts', whole(own[7]))
  else
    redis.call('HSET', key, 'token', whole(token), 'job', '')  -- spent: a second entry of the same job claims nothing
  end
  drop(index(unit, 'queued'), unit)
  add(index(unit, 'running'), ends, unit)
  answers[#answers + 1] = claimed(unit, token, event, own)
end
for _, job in ipairs(jobs) do claim(job) end
flush()
return answers
