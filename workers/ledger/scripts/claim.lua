-- What an attempt or a dispatch needs of its records; `decode_claim` reads it by these positions. The body is read by GET:
-- through a script it would cost three times as much.
local fields = function(key, ...)
  local found = redis.pcall('HMGET', key, ...)
  return found.err and {} or found  -- not a hash, so not ours
end
local event_fields = function(id)
  return fields(event_key(id), 'state', 'job', 'token', 'deaths', 'suspect', 'source', 'type', 'received_at',
    'delivery_id', 'origin', 'key', 'runs', 'replays')
end
local run_fields = function(run)
  return fields(unit_key(run), 'state', 'job', 'token', 'deaths', 'suspect', 'handler', 'attempts', 'failures', 'replays')
end
local claimed = function(unit, token, event, own) return {unit, token, event, is_run(unit) and own or {}} end
