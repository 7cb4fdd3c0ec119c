-- erase: deletes one event on a person's order, whatever of it is kept. ARGV after keep (ms): event id, 1 for --dry-run.
-- Marks stay: they hold digests alone, and without them a retry of the provider would bring the event back.
-- Answers what it did.
local id, dry = ARGV[5], ARGV[6] == '1'
local state = get(event_key(id), 'state')
if not state then return 'no such event' end
if state == 'accepted' then return 'not erased: it waits for its dispatch' end
local lanes = {}
for suffix in string.gmatch(get(event_key(id), 'runs') or '', '%x+') do
  lanes[id .. '-' .. suffix] = get(Z .. 'run:' .. id .. '-' .. suffix, 'lane')
  if get(Z .. 'run:' .. id .. '-' .. suffix, 'state') == 'running' then return 'not erased: a run of it is under way' end
end
if dry then return 'erased' end
delete_event(id)
for run, lane in pairs(lanes) do leave_lane(run, lane) end
flush()
for n, line in ipairs(redis.call('LRANGE', Z .. 'audit', 0, -1)) do
  local ok, entry = pcall(cjson.decode, line)
  if ok and type(entry) == 'table' and entry.event == id and entry.reason ~= '' then
    entry.reason = ''
    redis.call('LSET', Z .. 'audit', n - 1, cjson.encode(entry))
  end
end
return 'erased'
