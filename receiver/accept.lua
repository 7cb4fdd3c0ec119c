-- accept: none -> accepted. ARGV after the ledger's: max pending, then 12 values an event:
-- id, mark, window (ms), mark of its bytes ('' where its id is signed), 1 if the same bytes are not to run again,
-- source, type, received at, delivery id, origin, key id, sealed bytes.
-- Answers two values an event: accepted, duplicate, full or junk, and the id.
redis.call('SADD', R .. ':queues', LIST)
local room = tonumber(ARGV[4]) - redis.call('ZCARD', Z .. 'pending') - redis.call('ZCARD', Z .. 'queued')
  - redis.call('ZCARD', Z .. 'running')
local answers, marks = {}, {}
local answer = function(verdict, id)
  answers[#answers + 1] = verdict
  answers[#answers + 1] = id
end
local seen = function(mark) return marks[mark] or redis.pcall('GET', mark) end
for i = 5, #ARGV, 12 do
  local id, window = ARGV[i], tonumber(ARGV[i + 2])
  local mark = Z .. 'seen:' .. ARGV[i + 1]
  local bytes = window > 0 and ARGV[i + 3] ~= '' and Z .. 'seen:' .. ARGV[i + 3]
  local first = window > 0 and seen(mark)
  local same = not first and bytes and seen(bytes)
  if type(same) == 'table' then same = false end
  if same and ARGV[i + 4] == '1' then first = same end
  if type(first) == 'table' then
    answer('junk', id)
  elseif first then
    if get(event_key(first), 'state') then redis.pcall('HINCRBY', event_key(first), 'duplicates', 1) end
    answer('duplicate', first)
  elseif room <= 0 then
    answer('full', id)
  else
    redis.call('SET', Z .. 'body:' .. id, ARGV[i + 11])
    add('events', ARGV[i + 7], id)
    enqueue(id, 'accepted', 'source', ARGV[i + 5], 'type', ARGV[i + 6], 'received_at', ARGV[i + 7],
      'delivery_id', ARGV[i + 8], 'key', ARGV[i + 10])
    if ARGV[i + 9] ~= 'delivery' then redis.call('HSET', event_key(id), 'origin', ARGV[i + 9]) end
    if same then
      redis.call('HSET', event_key(id), 'repeats', same)
      count('repeats')
    end
    if window > 0 then marks[mark] = id end
    if bytes and not same then marks[bytes] = id end
    room = room - 1
    answer('accepted', id)
  end
end
flush()
for i = 5, #ARGV, 12 do  -- last of all: an event whose mark stands is there
  for _, name in ipairs({ARGV[i + 1], ARGV[i + 3]}) do
    local mark = Z .. 'seen:' .. name
    if marks[mark] == ARGV[i] then redis.call('SET', mark, ARGV[i], 'PX', ARGV[i + 2]) end
  end
end
return answers
