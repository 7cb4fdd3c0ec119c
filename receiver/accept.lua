-- accept: none -> accepted. ARGV after the ledger's: max pending, then 9 values an event:
-- id, mark, window (ms), source, type, received at, delivery id, origin, key id; the sealed bytes follow as the tenth.
-- Answers a pair an event: accepted, duplicate, full or junk, and the id.
redis.call('SADD', R .. ':queues', LIST)
local room = tonumber(ARGV[4]) - redis.call('ZCARD', Z .. 'pending') - redis.call('ZCARD', Z .. 'queued')
  - redis.call('ZCARD', Z .. 'running')
local answers = {}
for i = 5, #ARGV, 10 do
  local id, window = ARGV[i], tonumber(ARGV[i + 2])
  local mark = Z .. 'seen:' .. ARGV[i + 1]
  local first = window > 0 and redis.pcall('GET', mark)
  if type(first) == 'table' then
    answers[#answers + 1] = {'junk', id}
  elseif first then
    if get(event_key(first), 'state') then redis.call('HINCRBY', event_key(first), 'duplicates', 1) end
    answers[#answers + 1] = {'duplicate', first}
  elseif room <= 0 then
    answers[#answers + 1] = {'full', id}
  else
    redis.call('HSET', event_key(id), 'source', ARGV[i + 3], 'type', ARGV[i + 4], 'received_at', ARGV[i + 5],
      'delivery_id', ARGV[i + 6], 'origin', ARGV[i + 7], 'key', ARGV[i + 8])
    redis.call('SET', Z .. 'body:' .. id, ARGV[i + 9])
    redis.call('ZADD', Z .. 'events', ARGV[i + 5], id)
    enqueue(id, 'accepted')
    if window > 0 then redis.call('SET', mark, id, 'PX', window) end
    room = room - 1
    answers[#answers + 1] = {'accepted', id}
  end
end
return answers
