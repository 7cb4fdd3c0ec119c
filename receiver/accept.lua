-- accept: none -> accepted. ARGV after the ledger's: max pending, then 13 values an event:
-- id, mark, window (ms), digest of the content ('' where it is a part of the mark), mark of what is signed ('' where id
-- and type are signed too), flags (1: what is signed is one event whatever its id and type; 2: a redelivery of an event
-- that ended dead, unhandled or unreadable is a wish to replay it; 4: it has no type), source, type, received at, delivery id, origin, key id,
-- sealed bytes.
-- A mark holds the event's id, then the digest. Answers two values an event: accepted, duplicate (with the event's state
-- behind a colon, if that is one of the three), full or junk; and the id.
local MAX_REDELIVERIES = 3  -- that count as a wish
local REDELIVERABLE = {dead = true, unhandled = true, unreadable = true}
redis.pcall('SADD', R .. ':queues', LIST)  -- for RQ's own tools; what else stands there must not stop us
local room = tonumber(ARGV[4]) - redis.call('ZCARD', Z .. 'pending') - redis.call('ZCARD', Z .. 'queued')
  - redis.call('ZCARD', Z .. 'running')
local answers, marks, windows = {}, {}, {}  -- marks that are new, and how long each lives in ms
local answer = function(verdict, id)
  answers[#answers + 1] = verdict
  answers[#answers + 1] = id
end
local seen = function(mark) return marks[mark] or redis.pcall('GET', mark) end
for i = 5, #ARGV, 13 do
  local id, window, digest = ARGV[i], tonumber(ARGV[i + 2]), ARGV[i + 3]
  local mark = Z .. 'seen:' .. ARGV[i + 1]
  local signed = ARGV[i + 4] ~= '' and Z .. 'seen:' .. ARGV[i + 4]
  local first = window > 0 and seen(mark)
  local same = not first and signed and seen(signed)
  if type(same) == 'table' then same = false end
  local flags = tonumber(ARGV[i + 5])
  if same and flags % 2 == 1 then first = same end
  if type(first) == 'table' then
    answer('junk', id)
  elseif first then
    local name = string.sub(first, 1, 30)
    local state = get(event_key(name), 'state')
    if state then redis.pcall('HINCRBY', event_key(name), 'duplicates', 1) end
    local is_wish = flags % 4 >= 2 and REDELIVERABLE[state]
    if is_wish and number(event_key(name), 'redeliveries') < MAX_REDELIVERIES then
      redis.pcall('HINCRBY', event_key(name), 'redeliveries', 1)
      add('wanted', now, name)
      count('redeliveries')
    end
    if digest ~= '' and string.sub(first, 31) ~= digest then count('duplicates_changed') end
    answer(REDELIVERABLE[state] and 'duplicate:' .. state or 'duplicate', name)
  elseif room <= 0 then
    answer('full', id)
  else
    redis.call('SET', Z .. 'body:' .. id, ARGV[i + 12])
    add('events', ARGV[i + 8], id)
    enqueue(id, 'accepted', 'source', ARGV[i + 6], 'type', ARGV[i + 7], 'received_at', ARGV[i + 8],
      'delivery_id', ARGV[i + 9], 'key', ARGV[i + 11])
    if ARGV[i + 10] ~= 'delivery' then redis.call('HSET', event_key(id), 'origin', ARGV[i + 10]) end
    if same then
      redis.call('HSET', event_key(id), 'repeats', string.sub(same, 1, 30))
      count('repeats')
    end
    if window > 0 then
      marks[mark], windows[mark] = id .. digest, ARGV[i + 2]
      if signed and not same then marks[signed], windows[signed] = id, ARGV[i + 2] end
    end
    if flags >= 4 then count('untyped:' .. ARGV[i + 6]) end
    room = room - 1
    answer('accepted', id)
  end
end
flush()
for mark, value in pairs(marks) do  -- last of all: an event whose mark stands is there
  redis.call('SET', mark, value, 'PX', windows[mark])
end
return answers
