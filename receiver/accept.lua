-- accept: none -> accepted. ARGV after the ledger's: max pending, then 10 values an event:
-- id, mark, window (ms), source, type, received at, delivery id, origin, key id, sealed bytes.
-- Answers two values an event: accepted, duplicate, full or junk, and the id.
redis.call('SADD', R .. ':queues', LIST)
local room = tonumber(ARGV[4]) - redis.call('ZCARD', Z .. 'pending') - redis.call('ZCARD', Z .. 'queued')
  - redis.call('ZCARD', Z .. 'running')
local answers, marks = {}, {}
local answer = function(verdict, id)
  answers[#answers + 1] = verdict
  answers[#answers + 1] = id
end
for i = 5, #ARGV, 10 do
  local id, window = ARGV[i], tonumber(ARGV[i + 2])
  local mark = Z .. 'seen:' .. ARGV[i + 1]
  local first = window > 0 and (marks[mark] or redis.pcall('GET', mark))
  if type(first) == 'table' then
    answer('junk', id)
  elseif first then
    if get(event_key(first), 'state') then redis.pcall('HINCRBY', event_key(first), 'duplicates', 1) end
    answer('duplicate', first)
  elseif room <= 0 then
    answer('full', id)
  else
    redis.call('SET', Z .. 'body:' .. id, ARGV[i + 9])
    add('events', ARGV[i + 5], id)
    enqueue(id, 'accepted', 'source', ARGV[i + 3], 'type', ARGV[i + 4], 'received_at', ARGV[i + 5],
      'delivery_id', ARGV[i + 6], 'key', ARGV[i + 8])
    if ARGV[i + 7] ~= 'delivery' then redis.call('HSET', event_key(id), 'origin', ARGV[i + 7]) end
    if window > 0 then marks[mark] = id end
    room = room - 1
    answer('accepted', id)
  end
end
flush()
for i = 5, #ARGV, 10 do  -- last of all: an event whose mark stands is there
  local mark = Z .. 'seen:' .. ARGV[i + 1]
  if marks[mark] == ARGV[i] then redis.call('SET', mark, ARGV[i], 'PX', ARGV[i + 2]) end
end
return answers
