-- accept: none -> accepted. ARGV after the ledger's: max pending, a packed list of `Acceptance` (contract/records.py says
-- what each of its names means), and the sealed bytes of each, in the same order.
-- A mark holds the event's id, then the digest. Answers two values an event: accepted, duplicate (with the event's state
-- behind a colon, if a redelivery may replay it), full or junk; and the id.
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
local write = function(one, sealed, repeats)
  local labels, record = one.labels, {'key', one.key, unpack(STAMP)}
  for name, value in pairs(labels) do
    if name ~= 'id' then
      record[#record + 1] = name
      record[#record + 1] = value
    end
  end
  if repeats then
    record[#record + 1] = 'repeats'
    record[#record + 1] = repeats
    count('repeats')
  end
  redis.call('SET', Z .. 'body:' .. labels.id, sealed)
  add('events', labels.received_at, labels.id)
  enqueue(labels.id, 'accepted', unpack(record))
  count('sealed:' .. one.key)
  if one.untyped then count('untyped:' .. labels.source) end
end
local redeliver = function(one, first)  -- of an event that is there already
  local name = string.sub(first, 1, 30)
  local state = get(event_key(name), 'state')
  if state then redis.pcall('HINCRBY', event_key(name), 'duplicates', 1) end
  if one.replays and REDELIVERABLE[state] and number(event_key(name), 'redeliveries') < MAX_REDELIVERIES then
    redis.pcall('HINCRBY', event_key(name), 'redeliveries', 1)
    add('wanted', now, name)
    count('redeliveries')
  end
  if one.digest and string.sub(first, 31) ~= one.digest then count('duplicates_changed') end
  answer(REDELIVERABLE[state] and 'duplicate:' .. state or 'duplicate', name)
end
for n, one in ipairs(cmsgpack.unpack(ARGV[5])) do
  local id, mark = one.labels.id, Z .. 'seen:' .. one.mark
  local signed = one.signed_mark and Z .. 'seen:' .. one.signed_mark
  local first = one.window_ms > 0 and seen(mark)
  local same = not first and signed and seen(signed)
  if type(same) == 'table' then same = false end
  if same and one.once then first = same end
  if type(first) == 'table' then
    answer('junk', id)
  elseif first then
    redeliver(one, first)
  elseif room <= 0 then
    answer('full', id)
  else
    write(one, ARGV[5 + n], same and string.sub(same, 1, 30))
    if one.window_ms > 0 then
      marks[mark], windows[mark] = id .. (one.digest or ''), one.window_ms
      if signed and not same then marks[signed], windows[signed] = id, one.window_ms end
    end
    room = room - 1
    answer('accepted', id)
  end
end
flush()
for mark, value in pairs(marks) do  -- last of all: an event whose mark stands is there
  redis.call('SET', mark, value, 'PX', windows[mark])
end
return answers
