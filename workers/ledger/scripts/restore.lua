-- restore: an event of an archive, as it was. ARGV after keep (ms): event id, the sealed body ('' if it was dropped), then
-- hashes: for each its key, the number of its fields, and these with their values. The event's own is the first.
-- What was open is queued again. Answers restored, or what stands there already.
local id, body = ARGV[5], ARGV[6]
local key = event_key(id)
if redis.call('EXISTS', key) == 1 then return 'it is there already' end
local at = 7
while at < #ARGV do
  local size = 2 * tonumber(ARGV[at + 1])
  if size > 0 then redis.call('HSET', ARGV[at], unpack(ARGV, at + 2, at + 1 + size)) end
  at = at + 2 + size
end
local event = pick(key, 'received_at', 'key', 'digests', 'state', 'runs', 'finished_at')
if body ~= '' then redis.call('SET', Z .. 'body:' .. id, body) end
add('events', event.received_at, id)
count('sealed:' .. (event.key or ''))
for digest in string.gmatch(event.digests or '', '%x+') do add('blind_index', 0, digest .. ':' .. id) end
local state = event.state
local is_open = {queued = true, running = true, waiting = true, paused = true}
for suffix in string.gmatch(event.runs or '', '%x+') do
  local run = id .. '-' .. suffix
  local own = pick(unit_key(run), 'state', 'lane', 'holds')
  local is_stop = FAILED[own.state or ''] and own.holds
  if own.lane and (is_open[own.state or ''] or is_stop) then join_as_last(run, own.lane) end
  if is_stop then add('stopped', event.finished_at or whole(now), run) end
  if (state == 'dispatched' or state == 'dead') and is_open[own.state or ''] then enqueue(run, 'queued') end
end
if state == 'accepted' then enqueue(id, 'accepted')
elseif state == 'dispatched' then
  add('open', whole(now), id)
  settle(id)
elseif state == 'dead' then add('dead', event.finished_at or whole(now), id)
else add(final_of(id), event.finished_at or whole(now), id) end
flush()
return 'restored'
