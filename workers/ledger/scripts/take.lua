-- take: claims the units behind popped jobs, and of as many more jobs as there is room for.
-- ARGV after keep (ms): lease (ms), how many more, 1 if handlers of the worker are ordered, then job ids that BLMOVE put
-- into the intermediate list.
-- Answers a list for each unit that is ours now: see claim.lua.
local lease, more = tonumber(ARGV[5]), tonumber(ARGV[6])
local is_ordered = ARGV[7] == '1'
local jobs = {unpack(ARGV, 8)}
for _, job in ipairs(jobs) do redis.call('LREM', LIST .. ':intermediate', 0, job) end
if more > 0 then
  for _, job in ipairs(redis.call('LPOP', LIST, more) or {}) do jobs[#jobs + 1] = job end
end

local answers, paused, first_claimed = {}, fields_of('pauses'), {}
local ends = whole(now + lease)
local claim = function(job)
  local ordinal, unit = string.match(job, '^(%d+)%-(evt_[%w%-]+)$')
  if not unit or (#unit ~= 30 and #unit ~= 43) then return count('jobs_refused') end
  local key, id, run = unit_key(unit), string.sub(unit, 1, 30), is_run(unit)
  local event, event_flat = read_record(event_key(id))
  local own, flat = event, event_flat
  if run then own, flat = read_record(key) end
  if not own.state and redis.call('TYPE', key).ok == 'none' then return count('jobs_stale') end
  local known = event.state and (not run or string.find(event.runs or '', string.sub(unit, 32), 1, true))
  if not own.state or not known then  -- not a hash, or a run that its event does not know
    set_aside(unit)
    return settle(id)
  end
  if own.job ~= ordinal or own.state ~= (run and 'queued' or 'accepted') then return count('jobs_stale') end
  local format = format_of(event, own)
  if format > FORMAT then  -- whatever it says, we do not guess
    redis.call('HSET', key, 'job', '')
    drop(index(unit, 'queued'), unit)
    if not run then drop('undispatched', unit) end
    return add('later', format, unit)
  end
  if run and paused[own.handler] then
    redis.call('HSET', key, 'state', 'paused', 'job', '')
    drop('queued', unit)
    return add('paused', whole(now), unit)
  end
  if run and own.lane and not is_its_turn(unit, own.lane, find_order(unit, own.lane)) then
    drop('queued', unit)
    return block(unit)
  end
  local token = whole((tonumber(own.token or 0) or 0) + 1)
  note(flat, 'token', token)
  if run then
    local attempts = whole((tonumber(own.attempts or 0) or 0) + 1)
    note(flat, 'attempts', attempts)
    redis.call('HSET', key, 'token', token, 'job', '', 'state', 'running', 'attempts', attempts)
    if own.lane then begin_in_lane(unit, own.lane) end
  else
    redis.call('HSET', key, 'token', token, 'job', '')  -- spent: a second entry of the same job claims nothing
    if is_ordered then
      first_claimed[#first_claimed + 1] = ordinal
      first_claimed[#first_claimed + 1] = unit
    end
  end
  drop(index(unit, 'queued'), unit)
  add(index(unit, 'running'), ends, unit)
  answers[#answers + 1] = claimed(unit, event_flat, flat)
end
for _, job in ipairs(jobs) do claim(job) end
if #first_claimed > 0 then redis.call('ZADD', Z .. 'undispatched', 'NX', unpack(first_claimed)) end
flush()
return answers
