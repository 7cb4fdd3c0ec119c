-- dispatch: accepted -> dispatched, unhandled, unreadable or dead; or parked until a key is known.
-- ARGV after keep (ms): lease (ms), delay (ms, for parked), then for each event: id, token, verdict, cause, how many
-- handlers, and three values for each of them: suffix of its run, its name, 1 if we begin with the run at once.
-- Such a run is claimed as it is made; the others are queued.
-- Answers a list an event: what became of it, then the runs that are ours now. Their token is 1.
local ends, due, moment = whole(now + tonumber(ARGV[5])), whole(now + tonumber(ARGV[6])), whole(now)

local write = function(key, ...)  -- whatever stands there is none of ours: the event did not know the run
  if type(redis.pcall('HSET', key, ...)) == 'table' then
    redis.call('UNLINK', key)
    redis.call('HSET', key, ...)
  end
end

local make_runs = function(id, runs, from, upto)
  local ours = {'dispatched'}
  for i = from, upto, 3 do
    local suffix, run = ARGV[i], id .. '-' .. ARGV[i]
    if not string.find(runs, suffix, 1, true) then
      runs = runs == '' and suffix or (runs .. ',' .. suffix)
      if ARGV[i + 2] == '1' then
        write(unit_key(run), 'handler', ARGV[i + 1], 'state', 'running', 'attempts', '1', 'token', '1')
        add('running', ends, run)
        ours[#ours + 1] = run
      else
        write(unit_key(run), 'handler', ARGV[i + 1])
        enqueue(run, 'queued')
      end
    end
  end
  return runs, ours
end

local decided = function(id, token, verdict, cause, from, upto)
  local key = event_key(id)
  local found = redis.pcall('HMGET', key, 'token', 'state', 'runs', 'cause')
  if found[1] ~= token or found[2] ~= 'accepted' then
    count('overlaps')
    return {'lost'}
  end
  if verdict == 'parked' then
    drop('dispatching', id)
    redis.call('HSET', key, 'cause', cause)
    add('parked', due, id)
    return {'parked'}
  end
  if verdict ~= 'dispatched' then
    finish_event(id, 'accepted', verdict, cause)
    return {verdict}
  end
  local before = found[3] or ''
  local runs, ours = make_runs(id, before, from, upto)
  drop('dispatching', id)
  redis.call('HSET', key, 'runs', runs, 'state', 'dispatched')
  if found[4] then redis.call('HDEL', key, 'cause') end
  add('open', moment, id)
  if before ~= '' then settle(id) end  -- runs of before may all have ended
  return ours
end

local answers, i = {}, 7
while ARGV[i] do
  local upto = i + 4 + 3 * tonumber(ARGV[i + 4])
  answers[#answers + 1] = decided(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], i + 5, upto)
  i = upto + 1
end
flush()
return answers
