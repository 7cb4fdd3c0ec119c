-- dispatch: accepted -> dispatched, unhandled, unreadable or dead; or parked until a key is known.
-- ARGV after keep (ms): id, token, verdict, cause, delay (ms, for parked), then pairs: suffix of a run, handler's name.
local id, token, verdict, cause, delay = ARGV[5], ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
local key = event_key(id)
if get(key, 'token') ~= token or get(key, 'state') ~= 'accepted' then
  count('overlaps')
  return 'lost'
end
if verdict == 'parked' then
  forget(id)
  redis.call('HSET', key, 'cause', cause)
  redis.call('ZADD', index(id, 'waiting'), now + delay, id)
  return 'parked'
end
if verdict ~= 'dispatched' then
  finish_event(id, verdict, cause)
  return verdict
end
local runs = get(key, 'runs') or ''
for i = 10, #ARGV, 2 do
  local run = id .. '-' .. ARGV[i]
  local run_key = Z .. 'run:' .. run
  if not string.find(runs, ARGV[i], 1, true) then
    runs = runs == '' and ARGV[i] or (runs .. ',' .. ARGV[i])
    redis.call('HSET', run_key, 'handler', ARGV[i + 1], 'attempts', 0, 'failures', 0)
    enqueue(run, 'queued')
  end
end
forget(id)
redis.call('HSET', key, 'runs', runs, 'state', 'dispatched', 'cause', '')
redis.call('ZADD', Z .. 'open', now, id)
settle(id)
return 'dispatched'
